#!/usr/bin/python3
"""story.py: what quickstart tells: two agencies' databases are brought and kept in step, and every decision can be looked up.

Starts everything, loads the sample, makes the changes that agencies make, checks what must come of each, and compares the copies. Run
by ./quickstart.
"""

import argparse
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "tests", "e2e")]

import residents                                        # noqa: E402
from cluster import Failed, catch_signals, wait_for     # noqa: E402
from region import Region                               # noqa: E402


class Story:
    """One telling: the region, who is who, and how many changes each agency has made."""

    def __init__(self, region, count, seed):
        self.region, self.count, self.seed = region, count, seed
        self.began = time.monotonic()
        self.dinsos, self.dinkes = region.agencies["dinsos"], region.agencies["dinkes"]
        self.made = {"dinsos": 0, "dinkes": 0}
        self.people = []

    # Telling

    def tell(self, text, see=None):
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)
        if see:
            print(f"            $ {see}", flush=True)

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
        dinsos, dinkes = (sum(getattr(person, f"at_{name}") for person in self.people) for name in ("dinsos", "dinkes"))
        self.tell(f"three PostgreSQL clusters run in {self.region.run.folder}; dinsos has {dinsos:,} people in penerima_bantuan,"
                  f" dinkes {dinkes:,} in peserta_jkn", self.psql("dinsos", "SELECT * FROM penerima_bantuan LIMIT 3"))

    def first_load(self):
        region = self.region
        region.configure()
        region.start()
        self.settled()
        for name, agency in region.agencies.items():
            self.must(f"residents at {name} after the first load",
                      int(agency.value(f"SELECT count(*) FROM {agency.table}")), len(self.people))
        put_back = region.value("SELECT count(*) FROM selaras.entry WHERE verdicts && '{lost,put back}' AND operation = 'load'")
        self.tell(f"broker and agents run; first load done: both agencies hold the same {len(self.people):,} residents;"
                  f" {int(put_back):,} differed and were decided by the catalog's rules", self.selaras("status"))

    def entitlement(self):
        person = next(p for p in self.people if p.at_dinsos and p.at_dinkes and not p.eligible and not p.corrected_nik)
        self.change("dinsos", f"UPDATE penerima_bantuan SET berhak = 'Y' WHERE nik = '{person.nik}'", 1)
        self.settled()
        self.must("dinkes's word", self.dinkes.value(f"SELECT berhak_pbi FROM peserta_jkn WHERE nik = '{person.nik}'"), "t")
        took = float(wait_for("dinkes says that it has applied it", lambda: self.region.query(
            "SELECT 1000 * extract(epoch FROM a.time - e.commit_time) FROM selaras.entry AS e"
            " JOIN selaras.applied AS a ON a.position >= e.position JOIN selaras.agency AS g ON g.id = a.agency"
            " WHERE e.kind = 'change' AND e.operation = 'update' AND e.agency = 'dinsos' AND g.name = 'dinkes'"
            " ORDER BY e.position, a.position LIMIT 1"))[0][0])
        district = next(p.village for p in self.people if p.at_dinsos)[:8].split(".")
        moved = int(self.dinsos.value(
            "WITH u AS (UPDATE penerima_bantuan SET berhak = CASE berhak WHEN 'Y' THEN 'T' ELSE 'Y' END"
            f" WHERE kd_kec = '{district[2]}' AND desil = 4 RETURNING 1) SELECT count(*) FROM u"))
        self.made["dinsos"] += moved
        self.settled()
        self.tell(f"dinsos entitles a resident: dinkes has it {took:.0f} ms later, and a decree on {moved} more follows",
                  self.selaras(f"record resident nik={person.nik}"))

    def different_fields(self):
        person = self.both(10)
        self.change("dinsos", f"UPDATE penerima_bantuan SET jml_anggota = 9 WHERE nik = '{person.nik}'", 1)
        self.change("dinkes", f"UPDATE peserta_jkn SET no_hp = '081099990001' WHERE nik = '{person.nik}'", 1)
        self.settled()
        self.must("both edits survive", self.region.query(
            f"SELECT household_size::text, phone FROM selaras.resident WHERE nik = '{person.nik}'"), [("9", "081099990001")])
        self.tell("both edit one person at once, dinsos the household, dinkes the telephone: both edits survive everywhere",
                  self.psql("dinkes", f"SELECT jumlah_keluarga, no_hp FROM peserta_jkn WHERE nik = '{person.nik}'"))

    def same_field(self):
        person = self.both(11)
        flag = "T" if person.eligible else "Y"
        self.change("dinkes", f"UPDATE peserta_jkn SET berhak_pbi = NULL WHERE nik = '{person.nik}'", 1)
        self.change("dinsos", f"UPDATE penerima_bantuan SET berhak = '{flag}' WHERE nik = '{person.nik}'", 1)
        self.settled()
        self.must("the owner's value stands", self.region.value(
            f"SELECT eligible FROM selaras.resident WHERE nik = '{person.nik}'"), "t" if flag == "Y" else "f")
        self.must("verdict on dinkes", self.verdict(person.nik, "dinkes", "eligible")[0], "put back")
        self.must("verdict on dinsos", self.verdict(person.nik, "dinsos", "eligible")[0], "applied")
        self.tell("both edit who is entitled: dinsos owns the field and stands, dinkes is put back with a notice, both are audited",
                  self.psql("dinkes", "SELECT field, yours, now, decided_by, why FROM selaras.notice ORDER BY number DESC LIMIT 1"))

    def offline(self):
        owner, larger = self.both(12), self.both(13)
        self.region.broker.kill()
        self.change("dinsos", f"UPDATE penerima_bantuan SET telepon = '081011110000' WHERE nik = '{owner.nik}'", 1)
        self.change("dinkes", f"UPDATE peserta_jkn SET no_hp = '081022220000' WHERE nik = '{owner.nik}'", 1)
        self.change("dinsos", f"UPDATE penerima_bantuan SET jml_anggota = 11 WHERE nik = '{larger.nik}'", 1)
        self.change("dinkes", f"UPDATE peserta_jkn SET jumlah_keluarga = 12 WHERE nik = '{larger.nik}'", 1)
        self.region.start_broker()
        self.settled()
        self.must("the owner of the telephone wins", self.region.value(
            f"SELECT phone FROM selaras.resident WHERE nik = '{owner.nik}'"), "081022220000")
        self.must("the larger household wins", self.region.value(
            f"SELECT household_size FROM selaras.resident WHERE nik = '{larger.nik}'"), "12")
        self.tell("the broker is killed, both work on and disagree twice; it comes back: the telephone goes to its owner dinkes, the"
                  " household to the larger number", self.selaras("log --verdict lost"))

    def comings_and_goings(self):
        gone, fought = self.both(14), self.both(15)
        born = residents.Maker(f"newborn {self.seed}")
        taken = {person.nik for person in self.people}
        nik = next(number for number in (f"640206{day:02}1126{serial:04}" for day in range(1, 20) for serial in range(1, 9))
                   if number not in taken)
        self.change("dinkes", "INSERT INTO peserta_jkn (nik, nama_peserta, tanggal_lahir, jenis_kelamin, kode_desa, status_aktif,"
                    f" jenis_peserta) VALUES ('{nik}', '{born.name(False)}', '2026-11-19', '1', '64.02.06.1001', 'AKTIF', 'PBI_APBD')", 1)
        self.change("dinsos", f"DELETE FROM penerima_bantuan WHERE nik = '{gone.nik}'", 1)
        self.settled()
        self.must("the newborn is at dinsos", self.dinsos.value(
            f"SELECT count(*) FROM penerima_bantuan WHERE nik = '{nik}'"), "1")
        self.must("the deleted one is gone at dinkes", self.dinkes.value(
            f"SELECT count(*) FROM peserta_jkn WHERE nik = '{gone.nik}'"), "0")
        self.region.broker.kill()
        self.change("dinkes", f"DELETE FROM peserta_jkn WHERE nik = '{fought.nik}'", 1)
        self.change("dinsos", f"UPDATE penerima_bantuan SET alamat = 'Jl. Baru No. 1' WHERE nik = '{fought.nik}'", 1)
        self.region.start_broker()
        self.settled()
        copies = [self.dinsos.value(f"SELECT count(*) FROM penerima_bantuan WHERE nik = '{fought.nik}'"),
                  self.dinkes.value(f"SELECT count(*) FROM peserta_jkn WHERE nik = '{fought.nik}'")]
        self.must("a deletion against an edit ends the same everywhere", len(set(copies)), 1)
        outcome = "the edit stands and the record is back" if copies[0] == "1" else "the deletion stands"
        self.tell(f"a newborn at dinkes reaches dinsos, a removal at dinsos reaches dinkes; a removal meets an edit: {outcome}",
                  self.selaras(f"record resident nik={fought.nik}"))

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

    CHAPTERS = [set_up, first_load, entitlement, different_fields, same_field, offline, comings_and_goings, corrected_numbers,
                whole_transaction]

    def close(self):
        """Compares everything once more, and the ledger with what was done."""
        self.settled()
        problems = self.region.differences() + self.region.parked() + self.region.audit_problems()
        for name, made in self.made.items():
            entries = self.region.change_entries(name)
            if entries != made:
                problems.append(f"{name} made {made} changes and the ledger has {entries}")
        for name in self.made:
            loaded = int(self.region.value("SELECT count(*) FROM selaras.entry WHERE kind = 'change' AND operation = 'load'"
                                           f" AND agency = '{name}'"))
            rows = sum(getattr(person, f"at_{name}") for person in self.people)
            if loaded != rows:
                problems.append(f"{name} had {rows} rows at its first load and the ledger has {loaded}")
        if problems:
            raise Failed("\n  ".join(["the copies or the ledger are wrong:"] + problems))
        region = self.region
        records = region.value("SELECT count(*) FROM selaras.resident WHERE exists")
        decided = region.value("SELECT count(*) FROM selaras.entry WHERE kind = 'change' AND verdicts && '{won,lost,put back}'")
        entries = region.value("SELECT count(*) FROM selaras.entry")
        changes = sum(self.made.values()) + sum(p.at_dinsos + p.at_dinkes for p in self.people)
        return (f"in step: {len(region.agencies)} agencies, {int(records):,} records, {changes:,} changes,"
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
    arguments = argparse.ArgumentParser(prog="quickstart", description="Starts Selaras between two sample agencies and tells what happens.")
    arguments.add_argument("--keep", action="store_true", help="leave everything running and say how to look and to stop it")
    arguments.add_argument("--full", action="store_true", help="50,000 residents instead of 2,000")
    arguments.add_argument("--seed", type=int, default=1, help="of the residents")
    arguments.add_argument("--build", default=None, help="build folder")
    options = arguments.parse_args()
    catch_signals()
    region = story = None
    try:
        region = Region(options.build, keep=options.keep)
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
