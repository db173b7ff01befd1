#!/usr/bin/python3
"""story.py: what quickstart tells: five agencies' data are brought and kept in step, and every decision can be looked up.

Starts everything, loads the sample, makes the changes that agencies make, checks what must come of each, and compares the copies. Run
by ./quickstart.
"""

import argparse
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "tests", "e2e")]

import offices                                          # noqa: E402
import residents                                        # noqa: E402
from cluster import Failed, catch_signals, wait_for     # noqa: E402
from copies import COPIES                               # noqa: E402
from region import ALL, Region                          # noqa: E402


SHOWN = 12      # lines of what a command says


class Story:
    """One telling: the region, who is who, and how many changes each agency has made."""

    def __init__(self, region, count, seed):
        self.region, self.count, self.seed = region, count, seed
        self.began = time.monotonic()
        self.bappeda, self.dinsos, self.dinkes, self.dp2kb, self.tenggarong = (region.agencies[name] for name in ALL)
        self.made, self.had = dict.fromkeys(ALL, 0), {}
        self.people = []
        self.dinkes.postgres.settings["track_commit_timestamp"] = "on"      # so that psql can say when something came

    # Telling

    def tell(self, text, see=None):
        """Says what happened, and shows it: the command, which must do well, and what it says, or the start of that."""
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)
        if not see:
            return
        done = subprocess.run(see, shell=True, capture_output=True, text=True, env=self.region.run.environment, check=False)
        if done.returncode != 0 or not done.stdout:
            raise Failed(f"{see}\n  ended with status {done.returncode}: {done.stdout}{done.stderr}")
        lines = done.stdout.strip("\n").split("\n")
        for line in [f"$ {see}", *lines[:SHOWN]]:
            print(f"            {line}", flush=True)
        if len(lines) > SHOWN:
            print(f"            ... and {len(lines) - SHOWN} more lines", flush=True)

    def psql(self, name, sql):
        server = self.region.postgres if name == "selaras" else self.region.agencies[name].postgres
        return f'psql -h {server.folder} -U postgres {name} -c "{sql}"'

    def selaras(self, words):
        program = self.region.run.program("selaras")
        near = os.path.relpath(program)
        return f"{program if near.startswith('..') else near} {words}"

    # Acting

    def change(self, agency, sql, records):
        """One transaction at one agency; `records` is how many records it changes."""
        self.region.agencies[agency].query(sql)
        self.made[agency] += records

    def both(self, number):
        """The number-th person whom both agencies know, no two chapters the same."""
        return [person for person in self.people if person.at_dinsos and person.at_dinkes and not person.corrected_nik][number]

    def settled(self):
        self.region.wait_in_step(changes=self.made)

    def must(self, what, found, wanted):
        if found != wanted:
            raise Failed(f"{what}: found {found!r}, wanted {wanted!r}")

    def verdict(self, nik, agency, field):
        """What became of the agency's last change of this field: (verdict, rule)."""
        rows = self.region.query(
            "SELECT verdicts[array_position(fields, '{0}')], rules[array_position(fields, '{0}')] FROM selaras.entry"
            " WHERE kind = 'change' AND agency = '{1}' AND '{0}' = ANY (fields)"
            "   AND record = (SELECT number FROM selaras.resident WHERE nik = '{2}')"
            " ORDER BY position DESC LIMIT 1".format(field, agency, nik))
        return rows[0] if rows else (None, None)

    # Chapters

    def set_up(self):
        self.people = residents.generate(self.count, self.seed)
        self.region.create_sample(self.people)
        for name, agency in self.region.databases().items():
            self.had[name] = sum(int(agency.value(f"SELECT count(*) FROM ({copy.sql}) AS c")) for copy in COPIES[name])
        self.had["tenggarong"] = len(self.tenggarong.rows)
        self.tell("five agencies that never designed anything together: " + "; ".join(
            f"{name} has {self.had[name]:,} {what}" for name, what in (
                ("dinsos", "residents, enrolments and budget lines"), ("dinkes", "residents and others"),
                ("dp2kb", "families and mothers-to-be"), ("bappeda", "programs and budget lines"),
                ("tenggarong", "rows in a spreadsheet"))), self.psql("dinsos", "SELECT nik, nama, kd_kec, berhak, jml_anggota, desil FROM penerima_bantuan LIMIT 3"))

    def observing(self):
        """Four take part at once; dinkes joins as any agency does that is not told otherwise."""
        region, dinkes = self.region, self.dinkes
        region.configure(fence_interval="1s", retry_interval="500ms")
        region.start_broker()
        for agency in region.agencies.values():
            if agency is not dinkes:
                agency.join()
        held = "SELECT md5(string_agg(p::text, '' ORDER BY id)) FROM peserta_jkn AS p"
        before = dinkes.value(held)
        region.enrol("dinkes", dinkes.key, mode=None)
        dinkes.prepare()
        dinkes.start()
        self.must("dinkes's own rows while it observes", dinkes.value(held), before)
        self.tell("broker and agents run; dinkes joins and observes: what it has is compared, nothing takes effect, nothing is written;"
                  " what would become of it if it took part", self.selaras("preview dinkes"))

    def first_load(self):
        region = self.region
        region.selaras("agency", "mode", "dinkes", "full", "--ground", "SK 440/12/2026")
        self.dinkes.wait_up()
        self.settled()
        for name, table in (("dinsos", "penerima_bantuan"), ("dinkes", "peserta_jkn")):
            self.must(f"residents at {name} after the first load",
                      int(region.agencies[name].value(f"SELECT count(*) FROM {table}")), len(self.people))
        put_back = region.value("SELECT count(*) FROM selaras.entry WHERE verdicts && '{lost,put back}' AND operation = 'load'")
        self.tell(f"dinkes takes part: dinsos and dinkes hold the same {len(self.people):,} residents; of all"
                  f" records {int(put_back):,} differed and were decided by the catalog's rules", self.selaras("status"))

    def entitlement(self):
        at_both = {person.nik for person in self.people if person.at_dinsos and person.at_dinkes and not person.eligible}
        mother = next(person for person, _, _ in offices.mothers(self.people) if person.nik in at_both)
        self.change("dinsos", f"UPDATE penerima_bantuan SET berhak = 'Y' WHERE nik = '{mother.nik}'", 1)
        self.change("dinsos", "INSERT INTO kepesertaan_bansos (nik, pbi, pbi_sejak, pbi_nominal, petugas, no_sk)"
                    f" VALUES ('{mother.nik}', 'Y', '2026-12-01', 42000, 'petugas17', 'SK 440/12/2026')", 1)
        self.settled()
        self.must("dinkes's word", self.dinkes.value(f"SELECT berhak_pbi FROM peserta_jkn WHERE nik = '{mother.nik}'"), "t")
        self.must("her premium is paid", self.dinkes.value(
            f"SELECT mulai FROM penerima_pbi WHERE nik = '{mother.nik}'"), "2026-12-01")
        took = float(wait_for("dinkes says that it has applied it", lambda: self.region.query(
            "SELECT 1000 * extract(epoch FROM a.time - e.commit_time) FROM selaras.entry AS e"
            " JOIN selaras.applied AS a ON a.position >= e.position JOIN selaras.agency AS g ON g.id = a.agency"
            " WHERE e.kind = 'change' AND e.operation = 'update' AND e.agency = 'dinsos' AND g.name = 'dinkes'"
            " ORDER BY e.position, a.position LIMIT 1"))[0][0])
        self.tell(f"dinsos entitles one mother-to-be and enrols her for PBI, two columns of one of its rows: dinkes has it"
                  f" {took:.0f} ms later", self.psql("dinkes", "SELECT p.nik, p.berhak_pbi, b.mulai, pg_xact_commit_timestamp(p.xmin) AS since"
                                                     f" FROM peserta_jkn p JOIN penerima_pbi b USING (nik) WHERE nik = '{mother.nik}'"))

    def sent(self, name):
        """How many changes of this agency the broker has taken, as `selaras status` says."""
        status = json.loads(self.region.selaras("status", "--json", check=False)[1])
        return next(agency["sent"] for agency in status["agencies"] if agency["name"] == name)

    def nightly_reload(self):
        before, clinics = self.sent("dinsos"), self.dinkes.value("SELECT count(faskes) FROM peserta_jkn")
        rows = int(self.dinsos.query(
            "CREATE TEMP TABLE nightly AS TABLE penerima_bantuan; DELETE FROM penerima_bantuan;"
            " INSERT INTO penerima_bantuan SELECT * FROM nightly; SELECT count(*) FROM nightly")[-1][0])
        self.region.wait_in_step()
        self.must("sent by the reload", self.sent("dinsos") - before, 0)
        self.must("dinkes's own column", self.dinkes.value("SELECT count(faskes) FROM peserta_jkn"), clinics)
        self.tell(f"dinsos's nightly job deletes and inserts all {rows:,} rows of its table: 0 sent, and what dinkes alone knows of them"
                  " is still there", self.selaras("log --agency dinsos --limit 3"))

    def bad_import(self):
        wrong = 900 * len(self.people) // 2000
        entitled = "SELECT count(*) FROM peserta_jkn WHERE berhak_pbi"
        before = self.dinkes.value(entitled)
        self.change("dinsos", "UPDATE penerima_bantuan SET berhak = 'T' WHERE nik IN"
                    f" (SELECT nik FROM penerima_bantuan WHERE berhak = 'Y' ORDER BY nik LIMIT {wrong})", wrong)
        holds = wait_for("the import is held", lambda: json.loads(self.region.selaras("hold", "list", "--json")[1])["holds"])
        self.must("held", [hold["held"] for hold in holds], [wrong])
        other = self.both(9)
        self.change("dinsos", f"UPDATE penerima_bantuan SET jml_anggota = 13 WHERE nik = '{other.nik}'", 1)
        wait_for("other changes of dinsos flow", lambda: self.dinkes.value(
            f"SELECT jumlah_keluarga FROM peserta_jkn WHERE nik = '{other.nik}'") == "13")
        self.must("entitled at dinkes meanwhile", self.dinkes.value(entitled), before)
        number = holds[0]["hold"]
        self.tell(f"a bad import at dinsos switches {wrong} people off in one transaction: held, nobody else is told, other changes flow",
                  self.selaras(f"hold show {number}"))
        self.region.selaras("hold", "reject", str(number), "--ground", "the file was cut off")
        self.settled()
        self.must("entitled at dinkes afterwards", self.dinkes.value(entitled), before)
        self.must("entitled at dinsos afterwards", self.dinsos.value(
            "SELECT count(*) FROM penerima_bantuan WHERE berhak = 'Y'"), before)
        self.tell(f"an operator rejects it: the {wrong} are entitled again at dinsos, and its people are told why",
                  self.psql("dinsos", "SELECT field, yours, now, why FROM selaras.notice ORDER BY number DESC LIMIT 3"))

    def put_back(self):
        person = self.both(11)
        self.change("dinkes", f"UPDATE peserta_jkn SET berhak_pbi = NULL, no_hp = '081099990001' WHERE nik = '{person.nik}'", 1)
        self.change("dinsos", f"UPDATE penerima_bantuan SET jml_anggota = 9 WHERE nik = '{person.nik}'", 1)
        self.settled()
        self.must("both other edits survive", self.region.query(
            f"SELECT household_size::text, phone FROM selaras.resident WHERE nik = '{person.nik}'"), [("9", "081099990001")])
        self.must("verdict on dinkes", self.verdict(person.nik, "dinkes", "eligible")[0], "put back")
        notices = f"SELECT why FROM selaras.notice WHERE key = (SELECT nik FROM peserta_jkn WHERE nik = '{person.nik}')"
        self.must("the notice", len(self.dinkes.query(notices)), 1)
        self.tell("a clerk at dinkes clears who is entitled and types a telephone number, while dinsos edits the same person: the number and"
                  " dinsos's edit stand everywhere, the rest is put back, and the clerk finds why",
                  self.psql("dinkes", "SELECT field, yours, now, decided_by, why FROM selaras.notice ORDER BY number DESC LIMIT 1"))

    def broker_killed(self):
        owner, larger = self.both(12), self.both(13)
        self.region.broker.kill()
        self.change("dinsos", f"UPDATE penerima_bantuan SET telepon = '081011110000' WHERE nik = '{owner.nik}'", 1)
        self.change("dinkes", f"UPDATE peserta_jkn SET no_hp = '081022220000' WHERE nik = '{owner.nik}'", 1)
        self.change("dinsos", f"UPDATE penerima_bantuan SET jml_anggota = 11 WHERE nik = '{larger.nik}'", 1)
        self.change("dinkes", f"UPDATE peserta_jkn SET jumlah_keluarga = 12 WHERE nik = '{larger.nik}'", 1)
        size = int(self.dp2kb.value("WITH u AS (UPDATE keluarga_sasaran SET jml_jiwa = jml_jiwa + 20 WHERE status = 'AKTIF' RETURNING 1)"
                                    " SELECT count(*) FROM u"))
        self.made["dp2kb"] += size
        self.region.start_broker()
        self.settled()
        self.must("the owner of the telephone wins", self.region.value(
            f"SELECT phone FROM selaras.resident WHERE nik = '{owner.nik}'"), "081022220000")
        self.must("the larger household wins", self.region.value(
            f"SELECT household_size FROM selaras.resident WHERE nik = '{larger.nik}'"), "12")
        self.must("duplicates and gaps in the ledger", self.region.audit_problems(), [])
        self.tell(f"the broker is killed; dp2kb changes {size} families, dinsos and dinkes disagree twice; it comes back: nothing is lost"
                  " or doubled, the telephone goes to its owner dinkes, the household to the larger number",
                  self.selaras("log --verdict lost --limit 2"))

    def spreadsheet(self):
        listed = [person for person in self.people if person.nik in self.tenggarong.rows and not person.corrected_nik]
        moved, called = listed[0], listed[1]
        self.tenggarong.put(moved.nik, village="64.02.06.1005", address="Jl. Danau Melintang 5")
        self.tenggarong.put(moved.nik, eligible="false" if moved.eligible else "true")
        self.tenggarong.save()
        self.made["tenggarong"] += 1
        self.change("dinkes", f"UPDATE peserta_jkn SET no_hp = '081033330000' WHERE nik = '{called.nik}'", 1)
        self.settled()
        self.must("the clerk's address at dinkes", self.dinkes.value(
            f"SELECT alamat_lengkap FROM peserta_jkn WHERE nik = '{moved.nik}'"), "Jl. Danau Melintang 5")
        corrections = {(line["key"], line["column"]): line["now"] for line in self.tenggarong.corrections()}
        self.must("what the clerk may not decide comes back", corrections.get((moved.nik, "Penerima Bantuan")),
                  "YA" if moved.eligible else "TIDAK")
        self.must("what dinkes changed comes as a correction", corrections.get((called.nik, "No. HP")), "081033330000")
        with open(self.tenggarong.corrections_file(), encoding="utf-8-sig") as file:
            copy = self.region.run.write("koreksi.csv", file.read())
        self.tenggarong.type_corrections()
        self.tenggarong.save()
        wait_for("there is nothing left to correct", lambda: not self.tenggarong.corrections())
        self.tell("the clerk of tenggarong saves the spreadsheet with an address, which goes everywhere, and with who is entitled, which is"
                  f" not theirs: {len(corrections)} corrections come back; typed in and saved, none is left", f"cat {copy}")

    def next_stage(self):
        spent = self.dinkes.value("SELECT sum(realisasi) FROM dpa")
        lines = int(self.bappeda.query(
            f"WITH old AS (UPDATE pagu_anggaran SET berlaku = false WHERE berlaku AND kd_skpd = '{offices.DINKES}' RETURNING *)"
            " INSERT INTO pagu_anggaran (tahun, kd_skpd, kd_sub, kd_rekening, kd_dana, tahap, pagu, petugas, no_perda)"
            " SELECT tahun, kd_skpd, kd_sub, kd_rekening, kd_dana, 'perubahan', pagu + 1500000.50, 'perencana1', 'Perda 7/2026' FROM old"
            " RETURNING (SELECT count(*) FROM old)")[0][0])
        self.made["bappeda"] += lines
        self.settled()
        self.must("budget lines at dinkes in the revised stage", int(self.dinkes.value(
            "SELECT count(*) FROM dpa WHERE tahapan = 'PERUBAHAN'")), lines)
        self.must("what is spent of them", self.dinkes.value("SELECT sum(realisasi) FROM dpa"), spent)
        self.tell(f"bappeda puts the revised budget in force, new rows beside the old: at dinkes the same {lines} lines have their new"
                  " ceiling, and what is spent of each", self.psql("dinkes", "SELECT kode_sub_kegiatan, tahapan, pagu_berlaku, realisasi"
                                                                   " FROM dpa LIMIT 3"))

    def comings_and_goings(self):
        gone, born = self.both(14), residents.Maker(f"newborn {self.seed}")
        taken = {person.nik for person in self.people}
        nik = next(number for number in (f"640206{day:02}1126{serial:04}" for day in range(1, 20) for serial in range(1, 9))
                   if number not in taken)
        mother, ordinal = self.dp2kb.query("SELECT nik_ibu, kehamilan_ke FROM ibu_hamil WHERE aktif = 'Y' ORDER BY id LIMIT 1")[0]
        self.change("dinkes", "INSERT INTO peserta_jkn (nik, nama_peserta, tanggal_lahir, jenis_kelamin, kode_desa, status_aktif,"
                    f" jenis_peserta) VALUES ('{nik}', '{born.name(False)}', '2026-11-19', '1', '64.02.06.1001', 'AKTIF', 'PBI_APBD')", 1)
        self.change("dp2kb", f"UPDATE ibu_hamil SET aktif = 'T' WHERE nik_ibu = '{mother}' AND kehamilan_ke = {ordinal}", 1)
        self.change("dinsos", f"DELETE FROM penerima_bantuan WHERE nik = '{gone.nik}'", 1)
        self.settled()
        self.must("the newborn is at dinsos", self.dinsos.value(
            f"SELECT count(*) FROM penerima_bantuan WHERE nik = '{nik}'"), "1")
        self.must("the deleted one is gone at dinkes", self.dinkes.value(
            f"SELECT count(*) FROM peserta_jkn WHERE nik = '{gone.nik}'"), "0")
        self.must("the mother has given birth at dinkes", self.dinkes.value(
            f"SELECT status FROM kohort_ibu WHERE nik_ibu = '{mother}' AND hamil_ke = {ordinal}"), "BERSALIN")
        self.tell("a newborn at dinkes reaches dinsos, a removal at dinsos reaches dinkes; a mother gives birth: dp2kb's row is no longer"
                  " active, dinkes's says BERSALIN", self.psql("dinkes", f"SELECT * FROM kohort_ibu WHERE nik_ibu = '{mother}'"))

    def numbers_of(self, niks):
        """Record numbers by NIK, of those that there are."""
        return dict(self.region.query("SELECT nik, number FROM selaras.resident WHERE nik IN ({})".format(
            ", ".join(f"'{nik}'" for nik in niks))))

    def corrected_numbers(self):
        """Each in a transaction of its own, as a clerk would, but all by one client: starting one for each takes longer than the rest."""
        wrong = [person for person in self.people if person.corrected_nik]
        before = self.numbers_of([person.nik for person in wrong])
        pairs = ", ".join(f"('{person.nik}', '{person.corrected_nik}')" for person in wrong)
        self.change("dinsos", "DO $$ DECLARE it record; BEGIN"
                    f" FOR it IN SELECT * FROM (VALUES {pairs}) AS v(wrong, correct) LOOP"
                    "   UPDATE penerima_bantuan SET nik = it.correct WHERE nik = it.wrong; COMMIT;"
                    " END LOOP; END $$", len(wrong))
        self.settled()
        after = self.numbers_of([person.corrected_nik for person in wrong])
        for person in wrong:
            self.must("a corrected NIK keeps its record", after.get(person.corrected_nik), before[person.nik])
        self.must("the wrong NIKs are gone at dinkes", self.dinkes.query("SELECT nik FROM peserta_jkn WHERE nik IN ({})".format(
            ", ".join(f"'{person.nik}'" for person in wrong))), [])
        self.tell(f"dinsos corrects {len(wrong)} wrong national numbers: at dinkes the same rows have the right ones",
                  self.psql("dinkes", f"SELECT id, nik, nama_peserta FROM peserta_jkn WHERE nik = '{wrong[0].corrected_nik}'"))

    def whole_transaction(self):
        card = self.both(30).family_card
        size = int(self.dinsos.value(
            f"WITH u AS (UPDATE penerima_bantuan SET alamat = 'Jl. Pindah No. 7', kd_kec = '06', kd_desa = '1002'"
            f" WHERE no_kk = '{card}' RETURNING 1) SELECT count(*) FROM u"))
        self.made["dinsos"] += size
        self.settled()
        self.must("the family arrives in one transaction", self.dinkes.query(
            "SELECT count(DISTINCT xmin::text)::text, count(*)::text FROM peserta_jkn"
            f" WHERE no_kartu_keluarga = '{card}' AND alamat_lengkap = 'Jl. Pindah No. 7'"), [("1", str(size))])
        self.tell(f"a family of {size} moves in one transaction at dinsos, and arrives in one at dinkes",
                  self.psql("dinkes", f"SELECT nama_peserta, kode_desa, alamat_lengkap FROM peserta_jkn WHERE no_kartu_keluarga = '{card}'"))

    CHAPTERS = [set_up, observing, first_load, entitlement, nightly_reload, bad_import, put_back, broker_killed, spreadsheet, next_stage,
                comings_and_goings, corrected_numbers, whole_transaction]

    def close(self):
        """Compares everything once more, and the ledger with what was done."""
        self.settled()
        problems = self.region.differences() + self.region.parked() + self.region.audit_problems()
        for name, made in self.made.items():
            entries = self.region.change_entries(name)
            if entries != made:
                problems.append(f"{name} made {made} changes and the ledger has {entries}")
        for name, rows in self.had.items():
            loaded = int(self.region.value("SELECT count(*) FROM selaras.entry WHERE kind = 'change' AND operation = 'load'"
                                           f" AND agency = '{name}'"))
            if loaded != rows:
                problems.append(f"{name} had {rows} records at its first load and the ledger has {loaded}")
        if problems:
            raise Failed("\n  ".join(["the copies or the ledger are wrong:"] + problems))
        region = self.region
        records = sum(int(region.value(f"SELECT count(*) FROM selaras.{name} WHERE exists"))
                      for name in {copy.type for copies in COPIES.values() for copy in copies})
        decided = region.value("SELECT count(*) FROM selaras.entry WHERE kind = 'change' AND verdicts && '{won,lost,put back}'")
        entries = region.value("SELECT count(*) FROM selaras.entry")
        changes = sum(self.made.values()) + sum(self.had.values())
        return (f"in step: {len(region.agencies)} agencies, {records:,} records, {changes:,} changes,"
                f" {int(decided):,} conflicts decided, {int(entries):,} audit entries,"
                f" {time.monotonic() - self.began:.1f} seconds")

    def how_to_look(self, stop):
        folder = self.region.run.folder
        print(f"\nEverything is still running, in {folder}. To look around:\n"
              f"  export SELARAS_SOCKET={self.region.control} SELARAS_DATABASE='{self.region.postgres.dsn('selaras')}'\n"
              f"  {self.selaras('status')}\n  {self.selaras('log --limit 20')}\n  {self.selaras(f'check --broker {folder}/broker.zpl')}\n"
              f"  {self.psql('dinsos', 'TABLE penerima_bantuan LIMIT 5')}\n  {self.psql('dinkes', 'TABLE peserta_jkn LIMIT 5')}\n"
              f"  {self.psql('selaras', 'TABLE selaras.resident LIMIT 5')}\n"
              f"Logs: {folder}/log. To stop it all and remove the folder:\n  {stop}\n")


def main():
    arguments = argparse.ArgumentParser(prog="quickstart", description="Starts Selaras between five sample agencies and tells what happens.")
    arguments.add_argument("--keep", action="store_true", help="leave everything running and say how to look and to stop it")
    arguments.add_argument("--full", action="store_true", help="50,000 residents instead of 2,000")
    arguments.add_argument("--seed", type=int, default=1, help="of the residents")
    arguments.add_argument("--build", default=None, help="build folder")
    options = arguments.parse_args()
    catch_signals()
    region = story = None
    try:
        region = Region(options.build, keep=options.keep, agencies=ALL)
        story = Story(region, 50_000 if options.full else 2_000, options.seed)
        for chapter in Story.CHAPTERS:
            chapter(story)
        last = story.close()
        if options.keep:
            story.how_to_look(region.run.detach())
        else:
            for name, status in region.stop_gracefully().items():
                story.must(f"exit status of {name} after SIGTERM", status, 0)
            region.end()
    except Failed as failed:
        logs = f"{region.run.folder}/log" if region else "nowhere: nothing was started"
        if region:
            region.end(remove=False)
        print(f"\nquickstart failed: {failed}\nThe logs are in {logs}", file=sys.stderr)
        return 1
    except BaseException:
        if region:
            region.end(remove=False)
        raise
    print(last)
    return 0


if __name__ == "__main__":
    sys.exit(main())
