"""Agencies as they are: one row that is three records, a column that says whether a record exists, local time, joined keys."""

import json

import pytest

from cluster import wait_for
from mapped import becomes, mapped_region, nik

CATALOG = """\
catalog
    version = 1
    agencies = "dinsos dinkes"
record
    resident
        existence
            write = "dinsos dinkes"
        read
            dinsos = law
            dinkes = agreement
        fields
            nik
                type = text
                identifier = yes
                personal = yes
                write = "dinsos dinkes"
            name
                type = text
                personal = yes
                write = "dinsos dinkes"
            village
                type = text
                write = "dinsos dinkes"
            registered
                type = timestamp
                write = "dinsos dinkes"
            poor
                type = boolean
                write = "dinsos dinkes"
    pkh
        existence
            write = "dinsos dinkes"
        read
            dinsos = law
            dinkes = agreement
        fields
            nik
                type = text
                identifier = yes
                write = "dinsos dinkes"
            since
                type = date
                write = "dinsos dinkes"
            program
                type = text
                write = "dinsos dinkes"
    bpnt
        existence
            write = "dinsos dinkes"
        read
            dinsos = law
            dinkes = agreement
        fields
            nik
                type = text
                identifier = yes
                write = "dinsos dinkes"
            amount
                type = decimal
                scale = 2
                write = "dinsos dinkes"
"""

MAPPING = {"dinsos": """\
mapping
    zone = Asia/Makassar
    warga
        type = resident
        table = bantuan
        key = nik
        insert = yes
        actor = updated_by
        ground = no_sk
        fields
            nik
                column = nik
                trim = yes
            name
                column = nama
            village
                columns = "kd_kec kd_desa"
                join = .
            registered
                column = terdaftar
            poor
                column = kelas
                codes
                    MISKIN = true
                    MAMPU = false
                unknown = null
    pkh
        type = pkh
        table = bantuan
        key = nik
        where
            pkh = Y
        constants
            program = PKH
        insert = yes
        delete = "set pkh T"
        absence = 15min
        fields
            nik
                column = nik
                trim = yes
            since
                column = pkh_sejak
    bpnt
        type = bpnt
        table = bantuan
        key = nik
        where
            bpnt = 1
            bpnt_nominal = not null
        insert = yes
        delete = "set bpnt 0"
        fields
            nik
                column = nik
                trim = yes
            amount
                column = bpnt_nominal
""", "dinkes": """\
mapping
    peserta
        type = resident
        table = peserta
        key = nik
        where
            status = "AKTIF 'CUTI PANJANG'"
        insert = yes
        delete = "set status KELUAR"
        fields
            nik
                column = nik
            name
                column = nama
            village
                column = desa
            registered
                column = terdaftar
            poor
                column = miskin
    pkh
        type = pkh
        table = ikut_pkh
        key = nik
        insert = yes
        delete = row
        fields
            nik
                column = nik
            since
                column = sejak
            program
                column = program
    bpnt
        type = bpnt
        table = ikut_bpnt
        key = nik
        insert = yes
        delete = row
        fields
            nik
                column = nik
            amount
                column = nominal
"""}

SCHEMA = {"dinsos": """\
    CREATE TABLE bantuan (
        nik char(20) PRIMARY KEY, nama text, kd_kec text, kd_desa text, terdaftar timestamp, kelas text,
        pkh char(3) NOT NULL DEFAULT 'T', pkh_sejak date, bpnt integer NOT NULL DEFAULT 0, bpnt_nominal numeric(12, 2),
        updated_by text, no_sk text, catatan text);
    INSERT INTO bantuan (nik, nama, kd_kec, kd_desa, terdaftar, kelas, pkh, pkh_sejak, bpnt, bpnt_nominal, catatan)
    SELECT '64020601018000' || lpad(n::text, 2, '0'), 'Warga ' || n, '06', '1001', '2026-01-01 08:00:00', 'MISKIN',
           CASE WHEN n % 2 = 0 THEN 'Y' ELSE 'T' END, '2025-01-01', CASE WHEN n % 3 = 0 THEN 1 ELSE 0 END, 200000, 'milik dinsos'
    FROM generate_series(1, 30) n;
""", "dinkes": """\
    CREATE TABLE peserta (nik text PRIMARY KEY, nama text, desa text, terdaftar timestamptz, miskin boolean,
        status text NOT NULL DEFAULT 'BARU', catatan text);
    CREATE TABLE ikut_pkh (nik text PRIMARY KEY, sejak date, program text);
    CREATE TABLE ikut_bpnt (nik text PRIMARY KEY, nominal numeric(12, 2));
    INSERT INTO peserta (nik, nama, status, catatan)
    SELECT '64020601018000' || n, 'Peserta ' || n, CASE n WHEN 41 THEN 'AKTIF' WHEN 42 THEN 'CUTI PANJANG' ELSE 'KELUAR' END,
           'milik dinkes' FROM generate_series(41, 43) n;
"""}


@pytest.fixture(scope="module")
def mapped():
    with mapped_region(CATALOG, MAPPING, SCHEMA) as region:
        yield region


def test_each_row_is_loaded_as_the_records_that_it_is(mapped):
    count = "SELECT count(*) FROM selaras.{} WHERE exists"
    assert mapped.value(count.format("pkh")) == "15"
    assert mapped.value(count.format("bpnt")) == "10"
    assert mapped.value(count.format("resident")) == "32"       # 30 at dinsos, 2 at dinkes who have not left
    becomes(mapped.dinkes, "SELECT count(*) FROM ikut_pkh WHERE program = 'PKH' AND sejak = '2025-01-01'", [("15",)])
    becomes(mapped.dinkes, "SELECT count(*) FROM ikut_bpnt WHERE nominal = 200000", [("10",)])
    becomes(mapped.dinkes, "SELECT count(*) FROM peserta WHERE status = 'AKTIF'", [("31",)])
    # Who is at dinkes only comes to dinsos without any programme; who has left dinkes does not come.
    becomes(mapped.dinsos, f"SELECT btrim(nik), nama, btrim(pkh), bpnt FROM bantuan WHERE nik >= '{nik(41)}' ORDER BY 1",
            [(nik(41), "Peserta 41", "T", "0"), (nik(42), "Peserta 42", "T", "0")])


def test_a_column_that_says_so_is_the_existence_of_a_record(mapped):
    who = nik(1)
    mapped.dinsos.query(f"UPDATE bantuan SET pkh = 'Y', pkh_sejak = '2026-05-01' WHERE nik = '{who}'")
    becomes(mapped.dinkes, f"SELECT sejak::text, program FROM ikut_pkh WHERE nik = '{who}'", [("2026-05-01", "PKH")])
    mapped.dinsos.query(f"UPDATE bantuan SET pkh = 'T' WHERE nik = '{who}'")
    becomes(mapped.dinkes, f"SELECT sejak::text FROM ikut_pkh WHERE nik = '{who}'", [])
    assert mapped.query(f"SELECT operation FROM selaras.entry JOIN selaras.pkh p ON p.number = record WHERE type = 'pkh'"
                        f" AND p.nik = '{who}' ORDER BY position") == [("insert",), ("delete",)]


def test_a_deletion_elsewhere_sets_the_column_and_leaves_the_row(mapped):
    who = nik(6)                                                # has PKH and BPNT
    mapped.dinkes.query(f"DELETE FROM ikut_pkh WHERE nik = '{who}'")
    becomes(mapped.dinsos, f"SELECT btrim(pkh), bpnt, nama, catatan FROM bantuan WHERE nik = '{who}'",
            [("T", "1", "Warga 6", "milik dinsos")])
    assert mapped.dinkes.value(f"SELECT count(*) FROM ikut_bpnt WHERE nik = '{who}'") == "1"


def test_an_insertion_elsewhere_comes_into_the_row_that_is_there(mapped):
    who = nik(5)                                                # has neither
    mapped.dinkes.query(f"INSERT INTO ikut_bpnt VALUES ('{who}', 150000)")
    becomes(mapped.dinsos, f"SELECT btrim(pkh), bpnt, bpnt_nominal, catatan FROM bantuan WHERE nik = '{who}'",
            [("T", "1", "150000.00", "milik dinsos")])


def test_an_enrolment_waits_for_the_row_it_comes_into(mapped):
    who = nik(70)
    mapped.dinkes.query(f"INSERT INTO ikut_pkh VALUES ('{who}', '2026-02-01', 'PKH')")
    becomes(mapped.dinsos, "SELECT block, reason FROM selaras.parked",
            [("pkh", "table public.bantuan has no row with this key yet, and block pkh comes only into rows of another block")])
    mapped.dinkes.query(f"INSERT INTO peserta (nik, nama, status) VALUES ('{who}', 'Baru', 'AKTIF')")
    becomes(mapped.dinsos, f"SELECT btrim(pkh) FROM bantuan WHERE nik = '{who}'", [("T",)])
    record = mapped.value(f"SELECT number FROM selaras.pkh WHERE nik = '{who}'")
    mapped.selaras("parked", "retry", record, "--socket", mapped.dinsos.control)
    becomes(mapped.dinsos, f"SELECT btrim(pkh), pkh_sejak::text FROM bantuan WHERE nik = '{who}'", [("Y", "2026-02-01")])
    assert mapped.dinsos.query("SELECT * FROM selaras.parked") == []


def test_a_record_goes_where_its_constant_is(mapped):
    who, there = nik(7), nik(8)
    mapped.dinkes.query(f"INSERT INTO ikut_pkh VALUES ('{who}', '2026-02-01', 'LAIN');"
                        f"UPDATE peserta SET nama = 'Sesudah itu' WHERE nik = '{who}'")
    becomes(mapped.dinsos, f"SELECT btrim(pkh), nama FROM bantuan WHERE nik = '{who}'", [("T", "Sesudah itu")])
    assert mapped.dinsos.query("SELECT * FROM selaras.parked") == []
    assert mapped.query("SELECT count(*) FROM selaras.link l JOIN selaras.pkh p ON p.number = l.record"
                        f" JOIN selaras.agency a ON a.id = l.agency WHERE p.nik = '{who}' AND a.name = 'dinsos'") == [("0",)]
    mapped.dinkes.query(f"UPDATE ikut_pkh SET program = 'PKH' WHERE nik = '{who}'")
    becomes(mapped.dinsos, f"SELECT btrim(pkh), pkh_sejak::text FROM bantuan WHERE nik = '{who}'", [("Y", "2026-02-01")])
    # One that is there cannot become what the block cannot hold.
    mapped.dinkes.query(f"UPDATE ikut_pkh SET program = 'LAIN' WHERE nik = '{there}'")
    becomes(mapped.dinsos, "SELECT block, reason FROM selaras.parked",
            [("pkh", "block pkh holds only records whose program is another one")])
    mapped.dinkes.query(f"UPDATE ikut_pkh SET program = 'PKH' WHERE nik = '{there}'")
    record = mapped.value(f"SELECT number FROM selaras.pkh WHERE nik = '{there}'")
    wait_for("the way back", lambda: mapped.value(f"SELECT program FROM selaras.pkh WHERE nik = '{there}'") == "PKH")

    def released():
        mapped.selaras("parked", "retry", record, "--socket", mapped.dinsos.control, check=False)
        return mapped.dinsos.query("SELECT * FROM selaras.parked") == []
    wait_for("nothing is parked", released)


def test_a_row_that_had_left_is_taken_back_with_all_its_columns(mapped):
    who = nik(43)
    mapped.dinsos.query(f"INSERT INTO bantuan (nik, nama) VALUES ('{who}', 'Dewi')")
    becomes(mapped.dinkes, f"SELECT nama, status, catatan FROM peserta WHERE nik = '{who}'", [("Dewi", "AKTIF", "milik dinkes")])


def test_a_second_value_of_the_condition_is_left_alone(mapped):
    who = nik(42)
    mapped.dinsos.query(f"UPDATE bantuan SET nama = 'Peserta empat dua' WHERE nik = '{who}'")
    becomes(mapped.dinkes, f"SELECT nama, status FROM peserta WHERE nik = '{who}'", [("Peserta empat dua", "CUTI PANJANG")])


def test_a_row_outside_of_the_block_is_not_touched(mapped):
    """The update was on its way when its row left the block: it meets no row, and the deletion of the owner stands."""
    who = nik(9)
    mapped.dinsos.stop()
    mapped.dinkes.query(f"UPDATE ikut_bpnt SET nominal = 777 WHERE nik = '{who}'")
    wait_for("the update", lambda: mapped.value(f"SELECT amount FROM selaras.bpnt WHERE nik = '{who}'") == "777.00")
    mapped.dinsos.query(f"UPDATE bantuan SET bpnt = 0 WHERE nik = '{who}'")
    mapped.dinsos.start()
    becomes(mapped.dinkes, f"SELECT * FROM ikut_bpnt WHERE nik = '{who}'", [])
    mapped.dinkes.query(f"UPDATE peserta SET nama = 'Sesudahnya' WHERE nik = '{who}'")
    becomes(mapped.dinsos, f"SELECT nama, bpnt, bpnt_nominal FROM bantuan WHERE nik = '{who}'", [("Sesudahnya", "0", "200000.00")])


def test_local_time_is_the_same_moment_at_everyone(mapped):
    who = nik(11)
    mapped.dinsos.query(f"UPDATE bantuan SET terdaftar = '2026-11-20 09:14:07' WHERE nik = '{who}'")
    becomes(mapped.dinkes, f"SELECT (terdaftar AT TIME ZONE 'UTC')::text FROM peserta WHERE nik = '{who}'", [("2026-11-20 01:14:07",)])
    mapped.dinkes.query(f"UPDATE peserta SET terdaftar = '2026-12-31 20:00:00+00' WHERE nik = '{who}'")
    becomes(mapped.dinsos, f"SELECT terdaftar::text FROM bantuan WHERE nik = '{who}'", [("2027-01-01 04:00:00",)])


def test_joined_columns_and_unlisted_codes(mapped):
    who = nik(12)
    mapped.dinkes.query(f"UPDATE peserta SET desa = '07.2003', miskin = false WHERE nik = '{who}'")
    becomes(mapped.dinsos, f"SELECT kd_kec, kd_desa, kelas FROM bantuan WHERE nik = '{who}'", [("07", "2003", "MAMPU")])
    mapped.dinsos.query(f"UPDATE bantuan SET kelas = 'RENTAN' WHERE nik = '{who}'")
    becomes(mapped.dinkes, f"SELECT miskin IS NULL FROM peserta WHERE nik = '{who}'", [("t",)])
    assert mapped.dinsos.value(f"SELECT kelas FROM bantuan WHERE nik = '{who}'") == "RENTAN"


def test_who_and_why_travel_with_the_change(mapped):
    who = nik(13)
    mapped.dinsos.query(f"UPDATE bantuan SET nama = 'Ganti', updated_by = 'petugas17', no_sk = 'SK 440/12' WHERE nik = '{who}'")
    becomes(mapped.dinkes, f"SELECT nama FROM peserta WHERE nik = '{who}'", [("Ganti",)])
    assert mapped.query("SELECT count(*) FROM selaras.entry e JOIN selaras.resident r ON r.number = e.record"
                        f" WHERE r.nik = '{who}' AND e.operation = 'update' AND position('petugas17'::bytea IN e.body) > 0"
                        " AND position('SK 440/12'::bytea IN e.body) > 0") == [("1",)]


def who_and_why(region, number):
    """Of the last change of this person, and whether any of it is recorded."""
    row = json.loads(region.selaras("log", "--record", "resident", f"nik={nik(number)}", "--kind", "change", "--json")[1])["log"][-1]
    return row["actor"], row["ground"], row["recorded"]


def test_a_transaction_says_itself_who_makes_it_and_why(mapped):
    mapped.dinsos.query(f"BEGIN; SELECT pg_logical_emit_message(true, 'selaras.actor', 'petugas18');"
                        f" UPDATE bantuan SET nama = 'Oleh pesan', updated_by = 'petugas17' WHERE nik = '{nik(14)}';"
                        f" SELECT pg_logical_emit_message(true, 'selaras.ground', 'SK 441/12'); COMMIT")
    becomes(mapped.dinkes, f"SELECT nama FROM peserta WHERE nik = '{nik(14)}'", [("Oleh pesan",)])
    assert who_and_why(mapped, 14) == ("petugas18", "SK 441/12", True)


def test_what_nobody_says_is_said_to_be_unknown_and_counted(mapped):
    def unrecorded():
        return {agency["name"]: agency["unrecorded"] for agency in json.loads(mapped.selaras("status", "--json")[1])["agencies"]}
    before = unrecorded()
    mapped.dinsos.query(f"UPDATE bantuan SET nama = 'Oleh siapa' WHERE nik = '{nik(15)}'")
    mapped.dinsos.query(f"UPDATE bantuan SET nama = 'Oleh saya', updated_by = 'petugas17' WHERE nik = '{nik(16)}'")
    becomes(mapped.dinkes, f"SELECT nama FROM peserta WHERE nik IN ('{nik(15)}', '{nik(16)}') ORDER BY nik", [("Oleh siapa",), ("Oleh saya",)])
    assert who_and_why(mapped, 15) == (None, None, False)
    assert "(not recorded)" in mapped.selaras("log", "--record", "resident", f"nik={nik(15)}")[1]
    assert unrecorded() == {**before, "dinsos": before["dinsos"] + 1}
    assert str(before["dinsos"] + 1) == mapped.value("SELECT unrecorded FROM selaras.agency WHERE name = 'dinsos'")
    assert "NOT RECORDED" in mapped.selaras("status", check=False)[1]


def test_nothing_is_left_parked_and_the_ledger_keeps_its_promises(mapped):
    assert mapped.dinkes.query("SELECT * FROM selaras.parked") == []
    row = mapped.query("SELECT count(*), max(position) - min(position) + 1 FROM selaras.entry")[0]
    assert row[0] == row[1]
