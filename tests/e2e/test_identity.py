"""Who is who: records that several columns find together, and one row that is several records of one type."""

import pytest

from cluster import wait_for
from mapped import becomes, mapped_region, nik

CATALOG = """\
catalog
    version = 1
    agencies = "dinsos dinkes"
record
    enrolment
        existence
            write = "dinsos dinkes"
        read
            dinsos = law
            dinkes = agreement
        groups
            line
                identifier = yes
                write = "dinsos dinkes"
        fields
            nik
                type = text
                personal = yes
                group = line
            program
                type = text
                group = line
            year
                type = integer
                group = line
            since
                type = date
                write = "dinsos dinkes"
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
                compare = letters
                personal = yes
                write = "dinsos dinkes"
    child
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
            weight
                type = integer
                write = "dinsos dinkes"
"""

# dinsos has three programmes of this year in columns of one row, dinkes all of all years in a table.
COLUMN = """\
    {name}
        type = enrolment
        table = bantuan
        key = "nik program"
        where
            {name} = Y
        constants
            program = {program}
            year = 2026
        insert = yes
        delete = "set {name} T"
        fields
            nik
                column = nik
            since
                column = {name}_sejak
"""
MAPPING = {"dinsos": "mapping\n" + "".join(COLUMN.format(name=name, program=name.upper()) for name in ("pkh", "bpnt", "pbi")) + """\
    warga
        type = resident
        table = warga
        key = "generated id"
        insert = yes
        delete = row
        fields
            nik
                column = nik
            name
                column = nama
    anak
        type = child
        table = anak
        key = "generated id"
        insert = yes
        delete = row
        fields
            nik
                column = nik
            name
                column = nama
            weight
                column = berat
""", "dinkes": """\
mapping
    balita
        type = child
        table = balita
        key = "generated no"
        insert = no
        delete = row
        fields
            nik
                column = nik
            name
                column = nama
            weight
                column = berat
    kepesertaan
        type = enrolment
        table = kepesertaan
        key = "nik program year"
        insert = yes
        delete = row
        fields
            nik
                column = nik
            program
                column = program
            year
                column = tahun
            since
                column = sejak
    peserta
        type = resident
        table = peserta
        key = "generated kantor no"
        where
            status = AKTIF
        insert = yes
        delete = "set status KELUAR"
        fields
            nik
                column = nik
            name
                column = nama
"""}

SCHEMA = {"dinsos": """\
    CREATE TABLE bantuan (nik text PRIMARY KEY, nama text,
        pkh char(1) NOT NULL DEFAULT 'T', pkh_sejak date, bpnt char(1) NOT NULL DEFAULT 'T', bpnt_sejak date,
        pbi char(1) NOT NULL DEFAULT 'T', pbi_sejak date);
    INSERT INTO bantuan SELECT '64020601018000' || lpad(n::text, 2, '0'), 'Warga ' || n, CASE WHEN n % 2 = 0 THEN 'Y' ELSE 'T' END,
        '2026-01-01', CASE WHEN n % 3 = 0 THEN 'Y' ELSE 'T' END, '2026-02-01', 'T' FROM generate_series(1, 12) n;
    CREATE TABLE warga (id serial PRIMARY KEY, nik text UNIQUE, nama text, catatan text DEFAULT 'milik dinsos');
    CREATE TABLE anak (id serial PRIMARY KEY, nik text UNIQUE, nama text, berat integer, catatan text DEFAULT 'milik dinsos');
    INSERT INTO warga (nik, nama) SELECT '64020601018001' || n, 'Warga ' || n FROM generate_series(11, 30) n;
""", "dinkes": """\
    CREATE TABLE kepesertaan (id serial PRIMARY KEY, nik text NOT NULL, program text NOT NULL, tahun integer NOT NULL, sejak date,
        UNIQUE (nik, program, tahun));
    INSERT INTO kepesertaan (nik, program, tahun, sejak) VALUES
        ('6402060101800001', 'PBI', 2026, '2026-03-01'), ('6402060101800001', 'PBI', 2025, '2025-03-01'),
        ('6402060101800002', 'PKH', 2026, '2020-01-01');
    CREATE TABLE balita (no serial PRIMARY KEY, nik text UNIQUE, nama text, berat integer, catatan text DEFAULT 'milik dinkes');
    CREATE TABLE peserta (kantor text NOT NULL DEFAULT 'TGR', no bigint GENERATED ALWAYS AS IDENTITY, nik char(16), nama text,
        status text NOT NULL DEFAULT 'AKTIF', catatan text DEFAULT 'milik dinkes', PRIMARY KEY (kantor, no));
    INSERT INTO peserta (nik, nama, status) VALUES ('6402060101800111', 'Peserta 11', 'AKTIF'), ('6402060101800112', 'P 12', 'KELUAR'),
        (NULL, 'Bayi lama', 'AKTIF'), ('6402060101800113', 'P 13', 'KELUAR'), ('6402060101800113', 'P 13 lagi', 'KELUAR'),
        ('6402060101800119', 'WARGA  19', 'AKTIF');
"""}


@pytest.fixture(scope="module")
def known():
    with mapped_region(CATALOG, MAPPING, SCHEMA) as region:
        yield region


def test_columns_of_one_row_are_records_of_one_type(known):
    """6 PKH and 4 BPNT at dinsos, of which dinkes has one, and its own PBI of two years."""
    becomes(known.dinkes, "SELECT program, tahun, count(*) FROM kepesertaan GROUP BY 1, 2 ORDER BY 1, 2",
            [("BPNT", "2026", "4"), ("PBI", "2025", "1"), ("PBI", "2026", "1"), ("PKH", "2026", "6")])
    assert known.value("SELECT count(*) FROM selaras.enrolment") == "12"
    becomes(known.dinkes, f"SELECT sejak::text FROM kepesertaan WHERE nik = '{nik(2)}'", [("2026-01-01",)])     # dinsos owns it
    becomes(known.dinsos, "SELECT nik, pbi_sejak::text FROM bantuan WHERE pbi = 'Y'", [(nik(1), "2026-03-01")])


def test_each_goes_into_the_column_of_its_program(known):
    who = nik(7)
    known.dinkes.query(f"INSERT INTO kepesertaan (nik, program, tahun, sejak) VALUES ('{who}', 'PKH', 2026, '2026-05-01'),"
                       f" ('{who}', 'BPNT', 2026, '2026-06-01'), ('{who}', 'BPNT', 2025, '2025-06-01')")
    becomes(known.dinsos, f"SELECT pkh, pkh_sejak::text, bpnt, bpnt_sejak::text, pbi FROM bantuan WHERE nik = '{who}'",
            [("Y", "2026-05-01", "Y", "2026-06-01", "T")])
    known.dinkes.query(f"DELETE FROM kepesertaan WHERE nik = '{who}' AND program = 'PKH'")
    becomes(known.dinsos, f"SELECT pkh, bpnt, bpnt_sejak::text FROM bantuan WHERE nik = '{who}'", [("T", "Y", "2026-06-01")])
    known.dinsos.query(f"UPDATE bantuan SET bpnt_sejak = '2026-07-01', pbi = 'Y', pbi_sejak = '2026-08-01' WHERE nik = '{who}'")
    becomes(known.dinkes, f"SELECT program, tahun, sejak::text FROM kepesertaan WHERE nik = '{who}' ORDER BY 1, 2",
            [("BPNT", "2025", "2025-06-01"), ("BPNT", "2026", "2026-07-01"), ("PBI", "2026", "2026-08-01")])


def test_a_corrected_part_of_an_identifier_moves_the_record(known):
    who, right = nik(2), nik(62)
    record = known.value(f"SELECT number FROM selaras.enrolment WHERE nik = '{who}' AND program = 'PKH'")
    known.dinkes.query(f"UPDATE kepesertaan SET tahun = 2024 WHERE nik = '{who}' AND program = 'PKH'")
    wait_for("the correction", lambda: known.value(f"SELECT year FROM selaras.enrolment WHERE number = {record}") == "2024")
    assert known.value(f"SELECT nik || program FROM selaras.enrolment WHERE number = {record}") == who + "PKH"


def resident(number):
    return f"64020601018001{number:02}"


PESERTA = "SELECT btrim(nik), nama, status FROM peserta WHERE nik = '{}' ORDER BY no"


def test_a_database_that_makes_keys_is_filled_and_tells_them(known):
    """20 residents of dinsos and a newborn of dinkes: who is there by identifier is taken, others are made."""
    becomes(known.dinkes, "SELECT count(*) FROM peserta WHERE status = 'AKTIF'", [("21",)])
    becomes(known.dinsos, "SELECT count(*), count(nik) FROM warga", [("21", "20")])
    assert known.dinkes.query(PESERTA.format(resident(12))) == [(resident(12), "Warga 12", "AKTIF")]     # the one that had left
    assert known.dinkes.query(PESERTA.format(resident(13))) == [                                         # which of two had left?
        (resident(13), "P 13", "KELUAR"), (resident(13), "P 13 lagi", "KELUAR"), (resident(13), "Warga 13", "AKTIF")]
    links = ("SELECT count(DISTINCT record), count(*) FROM selaras.link l JOIN selaras.agency a ON a.id = l.agency"
             " WHERE a.name = '{}' AND block = '{}' AND until IS NULL")
    wait_for("the broker knows the keys", lambda: known.query(links.format("dinkes", "peserta")) == [("21", "21")]
             and known.query(links.format("dinsos", "warga")) == [("21", "21")])
    # The link is exact: what its people do with a row that we have made is about that record.
    known.dinkes.query(f"UPDATE peserta SET nama = 'Dinamai dinkes' WHERE nik = '{resident(30)}'")
    becomes(known.dinsos, f"SELECT nama, catatan FROM warga WHERE nik = '{resident(30)}'", [("Dinamai dinkes", "milik dinsos")])
    known.dinsos.query(f"UPDATE warga SET nama = 'Dinamai dinsos' WHERE nik = '{resident(30)}'")
    becomes(known.dinkes, PESERTA.format(resident(30)), [(resident(30), "Dinamai dinsos", "AKTIF")])


def test_a_name_that_is_only_spelled_otherwise_is_left_alone(known):
    who = resident(19)
    assert known.dinkes.value(f"SELECT nama FROM peserta WHERE nik = '{who}'") == "WARGA  19"
    assert known.dinsos.value(f"SELECT nama FROM warga WHERE nik = '{who}'") == "Warga 19"
    known.dinkes.query(f"UPDATE peserta SET nama = 'WARGA 20' WHERE nik = '{who}'")             # another number is another name
    becomes(known.dinsos, f"SELECT nama FROM warga WHERE nik = '{who}'", [("WARGA 20",)])
    known.dinkes.query(f"UPDATE peserta SET nama = 'Warga 20' WHERE nik = '{who}'; UPDATE peserta SET nama = 'WARGA 12' WHERE"
                       f" nik = '{resident(12)}'; UPDATE peserta SET nama = 'Sesudah' WHERE nik = '{resident(11)}'")
    becomes(known.dinsos, f"SELECT nama FROM warga WHERE nik IN ('{who}', '{resident(11)}', '{resident(12)}') ORDER BY nik",
            [("Sesudah",), ("Warga 12",), ("WARGA 20",)])
    assert known.dinkes.value(f"SELECT nama FROM peserta WHERE nik = '{who}'") == "Warga 20"


def test_a_newborn_gets_a_number_later(known):
    known.dinsos.query("INSERT INTO warga (nama) VALUES ('Bayi baru'), ('Bayi kembar')")
    becomes(known.dinkes, "SELECT nik, nama FROM peserta WHERE nama LIKE 'Bayi %' ORDER BY nama",
            [(None, "Bayi baru"), (None, "Bayi kembar"), (None, "Bayi lama")])
    known.dinkes.query(f"UPDATE peserta SET nik = '{resident(80)}', nama = 'Putri' WHERE nama = 'Bayi baru'")
    becomes(known.dinsos, f"SELECT nama FROM warga WHERE nik = '{resident(80)}'", [("Putri",)])
    assert known.dinsos.query("SELECT nik, nama FROM warga WHERE nama LIKE 'Bayi %' ORDER BY nama") == [
        (None, "Bayi kembar"), (None, "Bayi lama")]
    # Gone and back: the row goes, or only says so.
    known.dinsos.query("DELETE FROM warga WHERE nama = 'Bayi kembar'")
    becomes(known.dinkes, "SELECT status FROM peserta WHERE nama = 'Bayi kembar'", [("KELUAR",)])
    known.dinkes.query("DELETE FROM peserta WHERE nama = 'Bayi lama'")
    becomes(known.dinsos, "SELECT count(*) FROM warga WHERE nama = 'Bayi lama'", [("0",)])
    becomes(known.dinsos, "SELECT count(*) FROM selaras.link l WHERE NOT EXISTS (SELECT FROM warga w WHERE w.id::text = l.key)",
            [("0",)])


def test_both_add_one_person_before_they_know_of_each_other(known):
    known.dinkes.stop()
    known.dinkes.query(f"INSERT INTO peserta (nik, nama) VALUES ('{resident(81)}', 'Ditulis dinkes')")
    known.dinsos.query(f"INSERT INTO warga (nik, nama) VALUES ('{resident(81)}', 'Ditulis dinsos')")
    wait_for("the broker has it", lambda: known.value(f"SELECT count(*) FROM selaras.resident WHERE nik = '{resident(81)}'") == "1")
    known.dinkes.start()
    becomes(known.dinkes, PESERTA.format(resident(81)), [(resident(81), "Ditulis dinsos", "AKTIF")])
    assert known.dinsos.query(f"SELECT nama FROM warga WHERE nik = '{resident(81)}'") == [("Ditulis dinsos",)]
    known.dinkes.query(f"UPDATE peserta SET nama = 'Sesudahnya' WHERE nik = '{resident(81)}'")
    becomes(known.dinsos, f"SELECT nama FROM warga WHERE nik = '{resident(81)}'", [("Sesudahnya",)])
    assert known.value(f"SELECT count(*) FROM selaras.resident WHERE nik = '{resident(81)}'") == "1"


def held(region):
    """The number of the open hold, its cause, its record and the others."""
    rows = region.query("SELECT h.number, h.cause, d.record, d.others[1] FROM selaras.hold h JOIN selaras.held d ON d.hold = h.number"
                        " WHERE h.closed_at IS NULL AND d.settled IS NULL")
    return rows[0] if len(rows) == 1 else None


def test_several_rows_with_the_identifier_are_for_people_to_settle(known):
    who = resident(82)
    known.dinkes.stop()
    known.dinkes.query(f"INSERT INTO peserta (nik, nama) VALUES ('{who}', 'Satu'), ('{who}', 'Dua')")
    known.dinsos.query(f"INSERT INTO warga (nik, nama) VALUES ('{who}', 'Satu')")
    wait_for("the broker has it", lambda: known.value(f"SELECT count(*) FROM selaras.resident WHERE nik = '{who}'") == "1")
    known.dinkes.start()
    wait_for("the broker knows it", lambda: "several rows of table public.peserta" in known.selaras("parked", "list")[1])
    becomes(known.dinkes, "SELECT block, reason FROM selaras.parked", [
        ("peserta", "several rows of table public.peserta have its identifier: which one it is, is for its people to say")])
    known.dinkes.query("DELETE FROM peserta WHERE nama = 'Dua'")
    record = known.value(f"SELECT number FROM selaras.resident WHERE nik = '{who}'")

    def released():
        known.selaras("parked", "retry", record, "--socket", known.dinkes.control, check=False)
        return known.dinkes.query("SELECT * FROM selaras.parked") == []
    wait_for("nothing is parked", released)
    assert known.dinkes.query(PESERTA.format(who)) == [(who, "Satu", "AKTIF")]
    # One that its people add beside it waits, with the record that the first one is, until they take it away or decide.
    known.dinkes.query(f"INSERT INTO peserta (nik, nama) VALUES ('{who}', 'Tiga')")
    wait_for("it is held", lambda: held(known))
    hold, cause, _, of = held(known)
    assert (cause, of) == ("unknown", record)
    assert "another row there is this record" in known.selaras("hold", "show", hold)[1]
    known.dinkes.query("DELETE FROM peserta WHERE nama = 'Tiga'")
    wait_for("nothing is held", lambda: not held(known))
    assert known.dinsos.query(f"SELECT nama FROM warga WHERE nik = '{who}'") == [("Satu",)]


ANAK = "SELECT nik, nama, berat FROM anak ORDER BY id"
BALITA = "SELECT nik, nama, berat, catatan FROM balita ORDER BY no"


def test_a_newborn_that_is_known_elsewhere_is_never_merged_by_itself(known):
    """dinkes has a child without a number, dinsos the same one with it. Its midwife enters the number: a person says what that means."""
    number, other = resident(90), resident(91)
    known.dinkes.query("INSERT INTO balita (nama, berat) VALUES ('Bayi Ny. Sri', 3100)")
    becomes(known.dinsos, ANAK, [(None, "Bayi Ny. Sri", "3100")])
    known.dinsos.query(f"INSERT INTO anak (nik, nama) VALUES ('{number}', 'Putri'), ('{other}', 'Orang lain')")
    known.dinkes.query(f"UPDATE balita SET nik = '{number}', berat = 3200")
    becomes(known.dinsos, ANAK, [(None, "Bayi Ny. Sri", "3200"), (number, "Putri", None), (other, "Orang lain", None)])
    wait_for("it is held", lambda: held(known))
    hold, cause, baby, putri = held(known)
    assert cause == "collision" and putri == known.value(f"SELECT number FROM selaras.child WHERE nik = '{number}'")
    shown = known.selaras("hold", "show", hold)[1]
    assert "selaras record same child KEEP OTHER" in shown and baby in shown and putri in shown and number not in shown
    known.selaras("hold", "release", hold, "--ground", "SK 7/2026")
    wait_for("it was looked at", lambda: known.value(f"SELECT decision IS NULL AND decided > 0 FROM selaras.hold WHERE number = {hold}") == "t")
    assert held(known)[0] == hold and known.dinkes.query(BALITA) == [(number, "Bayi Ny. Sri", "3200", "milik dinkes")]

    pair = ("record", "same", "child", putri, baby, "--ground", "akta 12/2026")
    said = known.selaras(*pair)[1]
    assert "Nothing is done yet" in said and "dinkes" in said and "dinsos" in said and held(known)
    known.selaras(*pair, "--yes")
    becomes(known.dinkes, BALITA, [(number, "Putri", "3200", "milik dinkes")])      # what dinsos lacked came along
    becomes(known.dinsos, ANAK, [(number, "Putri", "3200"), (other, "Orang lain", None)])
    assert not held(known)
    known.dinkes.query("UPDATE balita SET berat = 4000")
    becomes(known.dinsos, ANAK, [(number, "Putri", "4000"), (other, "Orang lain", None)])
    known.dinsos.query(f"UPDATE anak SET nama = 'Putri Ayu' WHERE nik = '{number}'")
    becomes(known.dinkes, BALITA, [(number, "Putri Ayu", "4000", "milik dinkes")])
    shown = known.selaras("record", "child", baby)[1]
    assert f"the same as {putri}" in shown and "akta 12/2026" in shown
    assert f"{baby} is the same" in known.selaras("record", "child", putri)[1]
    assert known.query("SELECT record, other, actor IS NOT NULL, ground FROM selaras.change_log WHERE kind = 'same' AND field = 'existence'") == [
        (baby, putri, "t", "akta 12/2026")]
    becomes(known.dinkes, "SELECT yours, now, why LIKE 'sama dengan data lain%' FROM selaras.notice WHERE field = 'name' AND \"table\" = 'public.balita'",
            [("Bayi Ny. Sri", "Putri", "t")])

    known.selaras("record", "different", "child", putri, baby, "--ground", "ternyata kembar")
    becomes(known.dinkes, BALITA, [(None, "Bayi Ny. Sri", "3200", "milik dinkes")])
    becomes(known.dinsos, "SELECT nik, nama, berat FROM anak ORDER BY nama", [(None, "Bayi Ny. Sri", "3200"), (other, "Orang lain", None), (number, "Putri Ayu", "4000")])
    known.dinkes.query("UPDATE balita SET nama = 'Kembar'")
    becomes(known.dinsos, "SELECT count(*) FROM anak WHERE nama = 'Kembar'", [("1",)])

    # The number of another child, who lives: wrong, and put back with its notice.
    known.dinkes.query(f"UPDATE balita SET nik = '{other}'")
    wait_for("it is held", lambda: held(known))
    known.selaras("hold", "reject", held(known)[0], "--ground", "salah ketik")
    becomes(known.dinkes, BALITA, [(None, "Kembar", "3200", "milik dinkes")])
    becomes(known.dinkes, "SELECT field, yours, now FROM selaras.notice WHERE field = 'nik' AND \"table\" = 'public.balita'", [("nik", other, None)])


def test_no_row_is_made_twice_however_often_the_agent_dies(known):
    for round_ in range(8):
        known.dinsos.query(f"INSERT INTO warga (nama) SELECT 'Mati {round_} ' || n FROM generate_series(1, 40) n")
        if round_ % 2:
            wait_for("some are there", lambda: known.dinkes.value(f"SELECT count(*) FROM peserta WHERE nama LIKE 'Mati {round_} %'") != "0")
        known.dinkes.kill()
        known.dinkes.start(wait=False)
    becomes(known.dinkes, "SELECT count(*), count(DISTINCT nama) FROM peserta WHERE nama LIKE 'Mati %'", [("320", "320")], 60)
    assert known.dinsos.query("SELECT count(*), count(DISTINCT nama) FROM warga WHERE nama LIKE 'Mati %'") == [("320", "320")]
    known.dinkes.query("UPDATE peserta SET nama = replace(nama, 'Mati', 'Hidup') WHERE nama LIKE 'Mati %'")
    becomes(known.dinsos, "SELECT count(*), count(DISTINCT nama) FROM warga WHERE nama LIKE 'Hidup %'", [("320", "320")], 60)
    assert known.value("SELECT count(*) FROM selaras.resident WHERE name LIKE 'Hidup %'") == "320"


def test_numbers_that_were_mixed_up_are_exchanged(known):
    """Two people have each other's number, and three go round. At dinsos no two rows may have one, at any moment."""
    three = [resident(n) for n in (14, 15, 16)]
    names = "SELECT nik, nama FROM warga WHERE nik IN ('{}') ORDER BY nik".format("', '".join(three))
    known.dinkes.query(f"""BEGIN; UPDATE peserta SET nik = CASE btrim(nik) WHEN '{three[0]}' THEN '{three[1]}'
                       ELSE '{three[0]}' END WHERE nik IN ('{three[0]}', '{three[1]}');
                       UPDATE peserta SET nama = nama || ' (benar)' WHERE nik IN ('{three[0]}', '{three[1]}'); COMMIT""")
    becomes(known.dinsos, names, [(three[0], "Warga 15 (benar)"), (three[1], "Warga 14 (benar)"), (three[2], "Warga 16")])
    known.dinkes.query(f"""UPDATE peserta SET nik = CASE btrim(nik) WHEN '{three[0]}' THEN '{three[1]}' WHEN '{three[1]}' THEN
                       '{three[2]}' ELSE '{three[0]}' END WHERE nik IN ('{three[0]}', '{three[1]}', '{three[2]}')""")
    becomes(known.dinsos, names, [(three[0], "Warga 16"), (three[1], "Warga 15 (benar)"), (three[2], "Warga 14 (benar)")])
    assert known.dinsos.query("SELECT * FROM selaras.parked WHERE block = 'warga'") == []
    assert known.value("SELECT count(*) FROM selaras.change_log WHERE type = 'resident' AND verdict = 'put back' AND field = 'nik'") == "0"


def test_keys_that_were_mixed_up_are_exchanged(known):
    """The same where the numbers are a part of the key itself, in rows that are two records each."""
    both = [nik(8), nik(10)]
    rows = "SELECT nik, program, sejak::text FROM kepesertaan WHERE nik IN ('{}') ORDER BY 1, 2".format("', '".join(both))
    known.dinsos.query(f"UPDATE bantuan SET pkh_sejak = '2026-08-08' WHERE nik = '{both[0]}';"
                       f"UPDATE bantuan SET pkh_sejak = '2026-10-10' WHERE nik = '{both[1]}'")
    becomes(known.dinkes, rows, [(both[0], "PKH", "2026-08-08"), (both[1], "PKH", "2026-10-10")])
    known.dinsos.query(f"""BEGIN; UPDATE bantuan SET nik = 'x' WHERE nik = '{both[0]}'; UPDATE bantuan SET nik = '{both[0]}'
                       WHERE nik = '{both[1]}'; UPDATE bantuan SET nik = '{both[1]}' WHERE nik = 'x'; COMMIT""")
    becomes(known.dinkes, rows, [(both[0], "PKH", "2026-10-10"), (both[1], "PKH", "2026-08-08")])
    assert known.dinkes.query("SELECT * FROM selaras.parked") == []
    known.dinkes.query(f"UPDATE kepesertaan SET sejak = '2026-11-11' WHERE nik = '{both[0]}'")
    becomes(known.dinsos, f"SELECT pkh_sejak::text FROM bantuan WHERE nik = '{both[0]}'", [("2026-11-11",)])


def test_rows_that_are_made_again_are_the_records_that_they_were(known):
    """A reload as programs do it: everything is deleted and inserted anew, in another order, and each row gets another key."""
    before = known.dinkes.query("SELECT no, btrim(nik), nama, catatan FROM peserta WHERE status = 'AKTIF' ORDER BY no")
    records = known.value("SELECT count(*) FROM selaras.resident")
    entry = known.value("SELECT max(position) FROM selaras.entry")
    known.dinsos.query(f"""BEGIN; CREATE TEMP TABLE salinan AS SELECT nik, nama FROM warga; DELETE FROM warga;
                       INSERT INTO warga (nik, nama) SELECT nik, CASE nik WHEN '{resident(20)}' THEN 'Satu-satunya' ELSE nama END
                       FROM salinan ORDER BY nama DESC; COMMIT""")
    becomes(known.dinkes, f"SELECT nama FROM peserta WHERE nik = '{resident(20)}'", [("Satu-satunya",)])
    assert known.dinkes.query("SELECT no, btrim(nik), nama, catatan FROM peserta WHERE status = 'AKTIF' ORDER BY no") == [
        (no, who, "Satu-satunya" if who == resident(20) else name, note) for no, who, name, note in before]
    assert known.value("SELECT count(*) FROM selaras.resident") == records
    assert known.value(f"SELECT count(*) FROM selaras.entry WHERE position > {entry} AND effect IS NOT NULL") == "1"
    # Under their new keys they are whom they were.
    known.dinkes.query(f"UPDATE peserta SET nama = 'Dibalas' WHERE nik = '{resident(19)}'")
    becomes(known.dinsos, f"SELECT nama FROM warga WHERE nik = '{resident(19)}'", [("Dibalas",)])
    known.dinsos.query(f"UPDATE warga SET nama = 'Dijawab' WHERE nik = '{resident(18)}'")
    becomes(known.dinkes, f"SELECT nama FROM peserta WHERE nik = '{resident(18)}'", [("Dijawab",)])
