"""Two agencies and everything they do to one another: exact values, exact verdicts, and the copies compare equal."""

import json
import time

import pytest

from cluster import wait_for
from region import TRANSLATED


@pytest.fixture(autouse=True)
def in_step_before_and_after(region):
    """Each test starts from equal copies, ends with equal copies, nothing more parked, and a ledger that keeps its promises."""
    parked = region.parked()
    for agency in region.agencies.values():
        if not agency.agent.alive():
            agency.start()
    yield
    region.wait_in_step()
    assert region.parked() == parked
    assert region.audit_problems() == []


def head(region):
    return int(region.value("SELECT head FROM selaras.state"))


def verdicts(region, nik, since=0):
    """What the ledger says became of each field: (agency, operation, field, verdict), in order, after a position."""
    return region.query(
        "SELECT agency, operation, f, v FROM selaras.entry, unnest(fields, verdicts) WITH ORDINALITY AS u (f, v, n)"
        f" WHERE kind = 'change' AND position > {since}"
        f"   AND record = (SELECT number FROM selaras.resident WHERE nik = '{nik}')"
        " ORDER BY position, n")


def everywhere(region, nik, field):
    """The field's value at the broker and at each agency, as one set; a missing row is 'gone'."""
    found = set()
    for name, agency in region.agencies.items():
        rows = agency.query(f"SELECT {field} FROM ({TRANSLATED[name]}) AS t WHERE nik = '{nik}'")
        found.add(rows[0][0] if rows else "gone")
    rows = region.query(f"SELECT CASE jsonb_typeof(to_jsonb({field})) WHEN 'boolean' THEN {field}::text::boolean::text"
                        f" ELSE {field}::text END FROM selaras.resident WHERE exists AND nik = '{nik}'")
    found.add(rows[0][0] if rows else "gone")
    return found


def apart(region, steps):
    """Each agency works while it is cut off; then they come back in this order, each once the one before has been heard whole.
    `steps`: (agency, SQL)."""
    for agency in region.agencies.values():
        agency.stop()
    before = {name: region.change_entries(name) for name, _ in steps}
    for name, sql in steps:
        region.agencies[name].query(sql)
    for name, _ in steps:
        region.agencies[name].start()
        wait_for(f"the broker has heard {name}", lambda: region.change_entries(name) > before[name])
    region.wait_in_step()


def both_orders(function):
    return pytest.mark.parametrize("order", [("dinsos", "dinkes"), ("dinkes", "dinsos")], ids=["dinsos-first", "dinkes-first"])(function)


def meet(region, order, dinsos, dinkes):
    apart(region, [(name, {"dinsos": dinsos, "dinkes": dinkes}[name]) for name in order])


# One agency writes

def test_the_first_load_brought_everyone_to_both(region, sample):
    for name, agency in region.agencies.items():
        assert agency.value(f"SELECT count(*) FROM {agency.table}") == str(len(sample.people))
        rows = sum(getattr(person, f"at_{name}") for person in sample.people)
        assert region.value("SELECT count(*) FROM selaras.entry WHERE kind = 'change' AND operation = 'load'"
                            f" AND agency = '{name}'") == str(rows)
    assert region.value("SELECT count(*) FROM selaras.resident WHERE exists") == str(len(sample.people))


def test_an_entitlement_reaches_the_other_agency(region, sample):
    person, since = sample.pick(), head(region)
    flag, value = ("T", "false") if person.eligible else ("Y", "true")
    region.dinsos.query(f"UPDATE penerima_bantuan SET berhak = '{flag}' WHERE nik = '{person.nik}'")
    region.wait_in_step()
    assert everywhere(region, person.nik, "eligible") == {value}
    assert verdicts(region, person.nik, since) == [("dinsos", "update", "eligible", "applied")]


def test_typed_values_arrive_in_the_other_agencys_spelling(region, sample):
    person, since = sample.pick(), head(region)
    region.dinkes.query("UPDATE peserta_jkn SET iuran = 1250000.5, jenis_peserta = 'MANDIRI', tanggal_lahir = '1978-05-15',"
                        f" kode_desa = '64.02.06.1001' WHERE nik = '{person.nik}'")
    region.wait_in_step()
    assert region.query("SELECT premium::text, payer, birth_date::text, village FROM selaras.resident"
                        f" WHERE nik = '{person.nik}'") == [("1250000.50", "self", "1978-05-15", "64.02.06.1001")]
    assert region.dinsos.query("SELECT tgl_lahir::text, kd_prov, kd_kab, kd_kec, kd_desa FROM penerima_bantuan"
                               f" WHERE nik = '{person.nik}'") == [("1978-05-15", "64", "02", "06", "1001")]
    assert {entry[3] for entry in verdicts(region, person.nik, since)} <= {"applied", "unchanged"}


def test_what_is_not_mapped_travels_nowhere(region, sample):
    person, since = sample.pick(), head(region)
    before = region.dinkes.value(f"SELECT faskes IS NULL FROM peserta_jkn WHERE nik = '{person.nik}'")
    region.dinkes.query(f"UPDATE peserta_jkn SET catatan = 'rahasia' WHERE nik = '{person.nik}'")
    region.dinsos.query(f"UPDATE penerima_bantuan SET petugas = 'petugas99' WHERE nik = '{person.nik}'")
    region.wait_in_step()
    assert verdicts(region, person.nik, since) == []
    region.dinsos.query(f"UPDATE penerima_bantuan SET jml_anggota = 14 WHERE nik = '{person.nik}'")
    region.wait_in_step()
    assert region.dinkes.query(f"SELECT catatan, faskes IS NULL, jumlah_keluarga FROM peserta_jkn WHERE nik = '{person.nik}'"
                               ) == [("rahasia", before, "14")]


def test_a_transaction_travels_net(region, sample):
    """DELETE and INSERT of one key is an update, there and back is nothing, INSERT and DELETE is nothing."""
    changed, same, since = sample.pick(), sample.pick(), head(region)
    region.dinkes.query(f"""
        CREATE TEMP TABLE was AS SELECT * FROM peserta_jkn WHERE nik = '{changed.nik}';
        DELETE FROM peserta_jkn WHERE nik = '{changed.nik}';
        ALTER TABLE was DROP COLUMN id;
        UPDATE was SET no_hp = '081000000001';
        INSERT INTO peserta_jkn ({PESERTA}) SELECT {PESERTA} FROM was;
        UPDATE peserta_jkn SET nama_peserta = 'X' WHERE nik = '{same.nik}';
        UPDATE peserta_jkn SET nama_peserta = $${same.name}$$ WHERE nik = '{same.nik}';
        INSERT INTO peserta_jkn (nik, nama_peserta) VALUES ('6402060101990099', 'Y');
        DELETE FROM peserta_jkn WHERE nik = '6402060101990099'""")
    region.wait_in_step()
    assert verdicts(region, changed.nik, since) == [("dinkes", "update", "phone", "applied")]
    assert verdicts(region, same.nik, since) == []
    assert region.query("SELECT 1 FROM selaras.resident WHERE nik = '6402060101990099'") == []


PESERTA = ("nik, no_kartu_keluarga, nama_peserta, tanggal_lahir, jenis_kelamin, kode_desa, alamat_lengkap, no_hp, berhak_pbi,"
           " status_aktif, jenis_peserta, iuran, jumlah_keluarga, desil_kesejahteraan, faskes, catatan")


def test_a_long_value_that_is_not_touched_stays(region, sample):
    """Unchanged TOAST: absent, not NULL."""
    person, since = sample.pick(), head(region)
    region.dinkes.query("UPDATE peserta_jkn SET alamat_lengkap = (SELECT string_agg(md5(i::text), ' ')"
                        f" FROM generate_series(1, 400) AS i) WHERE nik = '{person.nik}'")
    region.wait_in_step()
    address = everywhere(region, person.nik, "address")
    assert len(address) == 1 and len(next(iter(address))) == 400 * 33 - 1
    region.dinkes.query(f"UPDATE peserta_jkn SET no_hp = '081000000002' WHERE nik = '{person.nik}'")
    region.wait_in_step()
    assert everywhere(region, person.nik, "address") == address
    assert verdicts(region, person.nik, since)[-1] == ("dinkes", "update", "phone", "applied")


def test_a_transaction_over_several_records_arrives_whole(region, sample):
    people = [sample.pick() for _ in range(6)]
    niks = ", ".join(f"'{person.nik}'" for person in people)
    region.dinsos.query(f"UPDATE penerima_bantuan SET alamat = 'Jl. Bersama 1' WHERE nik IN ({niks})")
    region.wait_in_step()
    assert region.dinkes.query("SELECT count(*), count(DISTINCT xmin::text) FROM peserta_jkn"
                               f" WHERE nik IN ({niks}) AND alamat_lengkap = 'Jl. Bersama 1'") == [("6", "1")]
    assert region.value("SELECT count(DISTINCT lsn) FROM selaras.entry WHERE kind = 'change' AND operation = 'update'"
                        " AND agency = 'dinsos' AND number >= 1 AND record IN"
                        f" (SELECT number FROM selaras.resident WHERE nik IN ({niks}))") == "1"


def test_inserts_travel_both_ways(region):
    region.dinsos.query("INSERT INTO penerima_bantuan (nik, nama, jk, kd_prov, kd_kab, kd_kec, kd_desa, berhak)"
                        " VALUES ('6402065105990101', 'Sari Uji', 'P', '64', '02', '06', '1002', 'Y')")
    region.dinkes.query("INSERT INTO peserta_jkn (nik, nama_peserta, jenis_kelamin, status_aktif, jenis_peserta, iuran)"
                        " VALUES ('6402061105990102', 'Wira Uji', '1', 'AKTIF', 'PBI_APBD', 42000)")
    region.wait_in_step()
    assert region.dinkes.query("SELECT nama_peserta, jenis_kelamin, kode_desa, berhak_pbi FROM peserta_jkn"
                               " WHERE nik = '6402065105990101'") == [("Sari Uji", "2", "64.02.06.1002", "t")]
    assert region.dinsos.query("SELECT nama, jk FROM penerima_bantuan WHERE nik = '6402061105990102'") == [("Wira Uji", "L")]


def test_a_deletion_travels_and_a_new_insert_revives(region, sample):
    person = sample.pick()
    record = region.value(f"SELECT number FROM selaras.resident WHERE nik = '{person.nik}'")
    region.dinsos.query(f"DELETE FROM penerima_bantuan WHERE nik = '{person.nik}'")
    region.wait_in_step()
    assert everywhere(region, person.nik, "name") == {"gone"}
    region.dinkes.query(f"INSERT INTO peserta_jkn (nik, nama_peserta) VALUES ('{person.nik}', 'Kembali')")
    region.wait_in_step()
    assert everywhere(region, person.nik, "name") == {"Kembali"}
    assert region.value(f"SELECT number FROM selaras.resident WHERE nik = '{person.nik}'") == record


@pytest.mark.parametrize("agency", ["dinsos", "dinkes"])
def test_a_corrected_number_keeps_its_record_and_its_row(region, sample, agency):
    person = sample.pick()
    wrong, right = person.nik, person.nik[:12] + "97" + ("01" if agency == "dinsos" else "02")
    record = region.value(f"SELECT number FROM selaras.resident WHERE nik = '{wrong}'")
    row = region.dinkes.value(f"SELECT id FROM peserta_jkn WHERE nik = '{wrong}'")
    table = region.agencies[agency].table
    region.agencies[agency].query(f"UPDATE {table} SET nik = '{right}' WHERE nik = '{wrong}'")
    region.wait_in_step()
    assert everywhere(region, wrong, "name") == {"gone"}
    assert everywhere(region, right, "name") == {person.name}
    assert region.value(f"SELECT number FROM selaras.resident WHERE nik = '{right}'") == record
    assert region.dinkes.value(f"SELECT id FROM peserta_jkn WHERE nik = '{right}'") == row


# Two agencies write

def test_edits_of_different_fields_both_survive(region, sample):
    person, since = sample.pick(), head(region)
    meet(region, ("dinsos", "dinkes"),
         f"UPDATE penerima_bantuan SET jml_anggota = 13 WHERE nik = '{person.nik}'",
         f"UPDATE peserta_jkn SET no_hp = '081000000003' WHERE nik = '{person.nik}'")
    assert everywhere(region, person.nik, "household_size") == {"13"}
    assert everywhere(region, person.nik, "phone") == {"081000000003"}
    assert sorted(verdicts(region, person.nik, since)) == [
        ("dinkes", "update", "phone", "applied"), ("dinsos", "update", "household_size", "applied")]


@both_orders
def test_the_owner_stands_and_the_other_is_put_back(region, sample, order):
    """dinkes may not write `eligible` at all."""
    person, since = sample.pick(), head(region)
    flag, value = ("T", "false") if person.eligible else ("Y", "true")
    meet(region, order, f"UPDATE penerima_bantuan SET berhak = '{flag}' WHERE nik = '{person.nik}'",
         f"UPDATE peserta_jkn SET berhak_pbi = NULL WHERE nik = '{person.nik}'")
    assert everywhere(region, person.nik, "eligible") == {value}
    assert sorted(verdicts(region, person.nik, since)) == [
        ("dinkes", "update", "eligible", "put back"), ("dinsos", "update", "eligible", "applied")]


def test_who_is_put_back_finds_a_notice(region, sample):
    person = sample.pick()
    region.dinkes.query(f"UPDATE peserta_jkn SET berhak_pbi = NOT berhak_pbi WHERE nik = '{person.nik}'")
    region.wait_in_step()
    value = "true" if person.eligible else "false"
    assert everywhere(region, person.nik, "eligible") == {value}
    newest = 'SELECT field, decided_by, why FROM selaras.notice ORDER BY number DESC LIMIT 1'
    assert region.dinkes.query(newest) == [("eligible", "dinsos", "ditetapkan oleh dinsos (pemilik data)")]
    region.dinsos.query(f"UPDATE penerima_bantuan SET telepon = '0815' WHERE nik = '{person.nik}'")     # another field
    told = json.loads(region.selaras("explain", "resident", f"nik={person.nik}", "eligible", "--json")[1])
    [field], [over] = told["explained"], told["overruled"]
    assert (field["field"], field["value"], field["agency"], field["verdict"]) == ("eligible", value, "dinsos", "applied")
    assert (over["agency"], over["value"], over["verdict"], over["rule"]) == ("dinkes", {"true": "false", "false": "true"}[value], "put back", "not allowed")
    assert over["entry"] > field["entry"]
    assert {row["agency"] for row in told["reached"] if row["basis"]} >= {"dinsos", "dinkes"}
    lines = region.selaras("explain", "resident", f"nik={person.nik}", "eligible")[1].splitlines()
    assert lines[0].startswith(f"eligible: {value} since ") and [line.split("  ")[1] for line in lines[1:4]] == ["written by", "stands by", "overruled"]
    assert ", by dinkes in entry " in lines[3] and "what others write is put back" in lines[2] and "reached" in lines[4]


def test_a_notice_is_written_in_the_agency_s_language(region, sample):
    person = sample.pick()
    with open(region.dinkes.file, encoding="utf-8") as file:
        usual = file.read()
    region.dinkes.stop()
    region.dinkes.run.write("dinkes.zpl", usual.replace("    agency = dinkes\n", "    agency = dinkes\n    language = en\n", 1))
    region.dinkes.start()
    region.dinkes.query(f"UPDATE peserta_jkn SET berhak_pbi = NOT berhak_pbi WHERE nik = '{person.nik}'")
    region.wait_in_step()
    newest = 'SELECT field, decided_by, why FROM selaras.notice ORDER BY number DESC LIMIT 1'
    assert region.dinkes.query(newest) == [("eligible", "dinsos", "decided by dinsos (owner of this data)")]
    region.dinkes.stop()
    region.dinkes.run.write("dinkes.zpl", usual)
    region.dinkes.start()


@both_orders
def test_both_offline_and_the_owner_wins(region, sample, order):
    """Both may write the telephone; dinkes comes first in the order of authority."""
    person, since = sample.pick(), head(region)
    meet(region, order, f"UPDATE penerima_bantuan SET telepon = '081011' WHERE nik = '{person.nik}'",
         f"UPDATE peserta_jkn SET no_hp = '081022' WHERE nik = '{person.nik}'")
    assert everywhere(region, person.nik, "phone") == {"081022"}
    first = {"dinsos": [("dinsos", "update", "phone", "applied"), ("dinkes", "update", "phone", "won")],
             "dinkes": [("dinkes", "update", "phone", "applied"), ("dinsos", "update", "phone", "lost")]}
    assert verdicts(region, person.nik, since) == first[order[0]]
    told = json.loads(region.selaras("explain", "resident", f"nik={person.nik}", "phone", "--json")[1])
    assert [(over["agency"], over["verdict"]) for over in told["overruled"]] == [("dinsos", "applied" if order[0] == "dinsos" else "lost")]
    assert {row["state"] for row in told["reached"]} <= {"applied", "written there", "no agency yet"} and told["explained"][0]["agency"] == "dinkes"


@both_orders
@pytest.mark.parametrize("field, local, values, wins", [
    ("household_size", ("jml_anggota", "jumlah_keluarga"), ("17", "16"), "17"),
    ("household_size", ("jml_anggota", "jumlah_keluarga"), ("16", "18"), "18"),
    ("welfare_decile", ("desil", "desil_kesejahteraan"), ("9", "10"), "9"),
    ("welfare_decile", ("desil", "desil_kesejahteraan"), ("10", "9"), "9"),
], ids=["largest-dinsos", "largest-dinkes", "smallest-dinsos", "smallest-dinkes"])
def test_both_offline_and_the_rule_decides(region, sample, order, field, local, values, wins):
    person = sample.pick()
    meet(region, order, f"UPDATE penerima_bantuan SET {local[0]} = {values[0]} WHERE nik = '{person.nik}'",
         f"UPDATE peserta_jkn SET {local[1]} = {values[1]} WHERE nik = '{person.nik}'")
    assert everywhere(region, person.nik, field) == {wins}


@both_orders
def test_a_group_is_decided_as_one(region, sample, order):
    """dinsos moves the village, dinkes writes the address: no mixture of the two may come out."""
    person = sample.pick()
    meet(region, order,
         f"UPDATE penerima_bantuan SET kd_kec = '01', kd_desa = '2001' WHERE nik = '{person.nik}'",
         f"UPDATE peserta_jkn SET alamat_lengkap = 'Jl. Lain 2' WHERE nik = '{person.nik}'")
    assert everywhere(region, person.nik, "village") == {"64.02.01.2001"}
    assert everywhere(region, person.nik, "address") == {person.address}


@both_orders
def test_equal_edits_are_no_conflict(region, sample, order):
    person, since = sample.pick(), head(region)
    meet(region, order, f"UPDATE penerima_bantuan SET telepon = '081033' WHERE nik = '{person.nik}'",
         f"UPDATE peserta_jkn SET no_hp = '081033' WHERE nik = '{person.nik}'")
    assert everywhere(region, person.nik, "phone") == {"081033"}
    assert [entry[3] for entry in verdicts(region, person.nik, since)] == ["applied", "unchanged"]


@both_orders
def test_a_deletion_by_the_owner_stands_against_an_edit(region, sample, order):
    person = sample.pick()
    meet(region, order, f"DELETE FROM penerima_bantuan WHERE nik = '{person.nik}'",
         f"UPDATE peserta_jkn SET no_hp = '081044' WHERE nik = '{person.nik}'")
    assert everywhere(region, person.nik, "phone") == {"gone"}


@both_orders
def test_a_deletion_by_another_is_undone_by_the_owners_edit(region, sample, order):
    person = sample.pick()
    meet(region, order, f"UPDATE penerima_bantuan SET jml_anggota = 15 WHERE nik = '{person.nik}'",
         f"DELETE FROM peserta_jkn WHERE nik = '{person.nik}'")
    assert everywhere(region, person.nik, "household_size") == {"15"}
    assert everywhere(region, person.nik, "name") == {person.name}


@both_orders
def test_both_delete(region, sample, order):
    person = sample.pick()
    meet(region, order, f"DELETE FROM penerima_bantuan WHERE nik = '{person.nik}'",
         f"DELETE FROM peserta_jkn WHERE nik = '{person.nik}'")
    assert everywhere(region, person.nik, "name") == {"gone"}


@both_orders
def test_both_insert_the_same_number(region, order):
    nik = "6402060101980201" if order[0] == "dinsos" else "6402060101980202"
    meet(region, order,
         f"INSERT INTO penerima_bantuan (nik, nama, telepon, berhak, jml_anggota) VALUES ('{nik}', 'Dari Dinsos', '0811', 'Y', 3)",
         f"INSERT INTO peserta_jkn (nik, nama_peserta, no_hp, jumlah_keluarga) VALUES ('{nik}', 'Dari Dinkes', '0822', 4)")
    assert everywhere(region, nik, "name") == {"Dari Dinsos"}
    assert everywhere(region, nik, "phone") == {"0822"}
    assert everywhere(region, nik, "household_size") == {"4"}
    assert everywhere(region, nik, "eligible") == {"true"}
    assert region.value(f"SELECT count(*) FROM selaras.resident WHERE nik = '{nik}'") == "1"


def test_a_value_that_breaks_its_pattern_is_put_back(region, sample):
    person, since = sample.pick(), head(region)
    region.dinkes.query(f"UPDATE peserta_jkn SET kode_desa = 'Loa Kulu' WHERE nik = '{person.nik}'")
    region.wait_in_step()
    assert everywhere(region, person.nik, "village") == {person.village}
    assert {entry[3] for entry in verdicts(region, person.nik, since)} == {"put back"}


# What an agency's own triggers and cascades do in our transactions

def with_triggers(agency, sql):
    """They are looked for when the agent opens the database."""
    agency.stop()
    agency.query(sql)
    agency.start()


def test_a_row_that_an_agency_s_own_trigger_deletes_with_another_does_not_stay_at_the_others(region, sample):
    """As a cascade does. What it deleted by itself is a deletion of that agency, and decided as one."""
    parent, child, since = sample.pick(), sample.pick(), head(region)
    with_triggers(region.dinkes, f"""
        CREATE FUNCTION also() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN DELETE FROM peserta_jkn WHERE nik = '{child.nik}' AND old.nik = '{parent.nik}'; RETURN NULL; END$$;
        CREATE TRIGGER also AFTER DELETE ON peserta_jkn FOR EACH ROW EXECUTE FUNCTION also()""")
    region.dinsos.query(f"DELETE FROM penerima_bantuan WHERE nik = '{parent.nik}'")
    region.wait_in_step()
    assert ("dinkes", "delete") in {entry[:2] for entry in verdicts(region, child.nik, since)}
    assert not [entry for entry in verdicts(region, parent.nik, since) if entry[0] == "dinkes"]
    assert everywhere(region, child.nik, "name") == {"gone"}
    region.dinkes.query("DROP FUNCTION also() CASCADE")


def test_a_value_that_an_agency_s_own_trigger_writes_is_counted_and_not_sent_round(region, sample):
    person, beside, since = sample.pick(), sample.pick(), head(region)
    log_before = len(open(region.dinkes.agent.log, encoding="utf-8").read())
    with_triggers(region.dinkes, f"""
        CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN IF new.nik = '{person.nik}' THEN new.nama_peserta = upper(new.nama_peserta); END IF; RETURN new; END$$;
        CREATE FUNCTION beside() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN IF new.nik = '{person.nik}' THEN
                UPDATE peserta_jkn SET no_hp = '0899' WHERE nik = '{beside.nik}'; END IF; RETURN NULL; END$$;
        CREATE TRIGGER loud BEFORE UPDATE ON peserta_jkn FOR EACH ROW EXECUTE FUNCTION loud();
        CREATE TRIGGER beside AFTER UPDATE ON peserta_jkn FOR EACH ROW EXECUTE FUNCTION beside()""")
    region.dinsos.query(f"UPDATE penerima_bantuan SET nama = 'Aminah' WHERE nik = '{person.nik}'")

    def counted():
        status = json.loads(region.selaras("status", "--json", "--socket", region.dinkes.control)[1])
        return {key: value for key, value in status.items() if key.startswith("altered")}
    wait_for("both columns are counted", lambda: counted() == {
        "altered_public.peserta_jkn.nama_peserta": 1, "altered_public.peserta_jkn.no_hp": 1})
    log = open(region.dinkes.agent.log, encoding="utf-8").read()[log_before:]
    assert "public.peserta_jkn" in log and "nama_peserta" in log and "no_hp" in log
    assert "AMINAH" not in log and "0899" not in log and person.nik not in log
    assert region.dinkes.value(f"SELECT nama_peserta FROM peserta_jkn WHERE nik = '{person.nik}'") == "AMINAH"
    assert not [entry for entry in verdicts(region, person.nik, since) + verdicts(region, beside.nik, since) if entry[0] == "dinkes"]

    # The broker knows it of the record that was written, restarted or not, and until its agency sets it right.
    def altered():
        agency, = [agency for agency in json.loads(region.selaras("status", "--json", check=False)[1])["agencies"] if agency["name"] == "dinkes"]
        return agency["altered"], region.query("SELECT r.nik, a.field FROM selaras.altered a JOIN selaras.resident r ON r.number = a.record")
    wait_for("the broker is told", lambda: altered() == (1, [(person.nik, "name")]))
    explained = json.loads(region.selaras("explain", "resident", f"nik={person.nik}", "name", "--json")[1])
    states = {row["agency"]: row["state"] for row in explained["reached"]}
    assert (states["dinsos"], states["dinkes"]) == ("written there", "altered there")
    assert all(row["since"] for row in explained["reached"] if row["agency"] == "dinkes")
    told = region.selaras("record", "resident", f"nik={person.nik}")[1]
    assert "altered there" in told and "by a trigger of its own" in told
    region.broker.stop()
    region.start_broker()
    wait_for("a new broker knows it", lambda: altered()[0] == 1)
    region.dinkes.query("DROP FUNCTION loud() CASCADE; DROP FUNCTION beside() CASCADE")
    region.dinkes.query(f"UPDATE peserta_jkn SET nama_peserta = 'Aminah' WHERE nik = '{person.nik}'")
    wait_for("what it is now is known", lambda: altered() == (0, []))
    region.dinkes.query(f"UPDATE peserta_jkn SET no_hp = NULL WHERE nik = '{beside.nik}'")


def test_old_notices_are_removed(region):
    with_triggers(region.dinkes, """
        INSERT INTO selaras.notice (at, "table", key, field, decided_by, why)
            SELECT now() - days * interval '1 day', 't', 'k', days::text, 'd', 'w' FROM unnest(ARRAY[89, 91, 400]) AS days""")
    kept = "SELECT string_agg(field, ' ') FROM selaras.notice WHERE \"table\" = 't'"
    wait_for("the old ones are gone", lambda: region.dinkes.value(kept) == "89")


# Nothing for ever

def test_nothing_goes_round(region, sample):
    """After all is quiet, nothing is captured, fed or applied any more."""
    person = sample.pick()
    region.dinsos.query(f"UPDATE penerima_bantuan SET nama = 'Diam' WHERE nik = '{person.nik}'")
    region.wait_in_step()
    before = region.query("SELECT head, (SELECT sum(changes) FROM selaras.agency), (SELECT sum(fed) FROM selaras.agency) FROM selaras.state")
    time.sleep(5)
    assert region.query("SELECT head, (SELECT sum(changes) FROM selaras.agency), (SELECT sum(fed) FROM selaras.agency)"
                        " FROM selaras.state") == before


def test_the_slot_follows_the_broker_and_never_leads(region, sample):
    """An acknowledged change survives: the slot forgets only what the broker has committed."""
    for _ in range(20):
        person = sample.pick()
        region.dinsos.query(f"UPDATE penerima_bantuan SET desil = 8 WHERE nik = '{person.nik}'")
        slot = int(region.dinsos.value("SELECT confirmed_flush_lsn - '0/0' FROM pg_replication_slots WHERE slot_name = 'selaras_dinsos'"))
        committed = int(region.value("SELECT lsn FROM selaras.agency WHERE name = 'dinsos'"))
        assert slot <= committed
    region.wait_in_step()
