"""Records that refer to others: one agency knows people by serial ids, one by their numbers, one does not know them at all."""

import pytest

from cluster import wait_for
from mapped import HEAD, becomes, mapped_region, nik

# The type that refers stands first: what comes first at an agency follows from the references.
CATALOG = """\
catalog
    version = 1
    agencies = "dinsos dinkes bappeda"
record
    enrolment
        existence
            write = "dinsos dinkes"
        read
            dinsos = law
            dinkes = agreement
            bappeda = budget
        groups
            line
                identifier = yes
                write = "dinsos dinkes"
        fields
            person
                type = reference
                to = resident
                required = yes
                group = line
            program
                type = text
                group = line
            cost
                type = integer
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
                personal = yes
                write = "dinsos dinkes"
"""

ENROLMENT = """\
    kepesertaan
        type = enrolment
        table = kepesertaan
        key = "generated id"
        insert = yes
        delete = row
        fields
            person
                column = {column}
                block = {block}
            program
                column = program
            cost
                column = biaya
"""
MAPPING = {"dinsos": "mapping\n" + ENROLMENT.format(column="id_warga", block="warga") + """\
    warga
        type = resident
        table = warga
        key = "generated id"
        where
            aktif = Y
        insert = yes
        delete = row
        fields
            nik
                column = nik
            name
                column = nama
""", "dinkes": "mapping\n" + ENROLMENT.format(column="nik", block="peserta") + """\
    peserta
        type = resident
        table = peserta
        key = nik
        insert = yes
        delete = row
        fields
            nik
                column = nik
            name
                column = nama
""", "bappeda": """\
mapping
    belanja
        type = enrolment
        table = belanja
        key = "generated id"
        insert = yes
        delete = row
        fields
            program
                column = program
            cost
                column = biaya
"""}

SCHEMA = {"dinsos": """\
    CREATE TABLE warga (id serial PRIMARY KEY, nik text UNIQUE, nama text, aktif char(1) NOT NULL DEFAULT 'Y');
    CREATE TABLE kepesertaan (id serial PRIMARY KEY, id_warga integer NOT NULL REFERENCES warga, program text NOT NULL, biaya integer,
        UNIQUE (id_warga, program));
    INSERT INTO warga (nik, nama) SELECT '64020601018000' || lpad(n::text, 2, '0'), 'Warga ' || n FROM generate_series(1, 9) n;
    INSERT INTO kepesertaan (id_warga, program, biaya) SELECT n, 'PKH', 100 * n FROM generate_series(1, 5) n;
""", "dinkes": """\
    CREATE TABLE peserta (nik text PRIMARY KEY, nama text CHECK (nama <> 'Ditolak'));
    CREATE TABLE kepesertaan (id bigint GENERATED ALWAYS AS IDENTITY (START 1000) PRIMARY KEY,
        nik text NOT NULL REFERENCES peserta ON UPDATE CASCADE, program text NOT NULL, biaya integer, UNIQUE (nik, program));
    INSERT INTO peserta SELECT '64020601018000' || lpad(n::text, 2, '0'), 'Warga ' || n FROM generate_series(4, 12) n;
    INSERT INTO kepesertaan (nik, program, biaya) SELECT '64020601018000' || lpad(n::text, 2, '0'), 'PKH', 100 * n FROM generate_series(4, 6) n;
    INSERT INTO kepesertaan (nik, program, biaya) VALUES ('6402060101800012', 'PBI', 42);
""", "bappeda": """\
    CREATE TABLE belanja (id serial PRIMARY KEY, program text, biaya integer);
"""}

COPY = {"dinsos": "SELECT w.nik, k.program, k.biaya FROM kepesertaan k JOIN warga w ON w.id = k.id_warga",
        "dinkes": "SELECT nik, program, biaya FROM kepesertaan"}


@pytest.fixture(scope="module")
def region():
    with mapped_region(CATALOG, MAPPING, SCHEMA) as region:
        yield region


def enrolled(agency, where="true"):
    return agency.query(f"SELECT * FROM ({COPY[agency.name]}) AS e (nik, program, biaya) WHERE {where} ORDER BY 1, 2")


def becomes_enrolled(agency, number, expected):
    becomes(agency, f"SELECT program, biaya FROM ({COPY[agency.name]}) AS e (nik, program, biaya) WHERE nik = '{nik(number)}' ORDER BY 1",
            expected)


def add(agency, number, program, cost, name="Baru"):
    """A person and an enrolment in one transaction."""
    if agency.name == "dinsos":
        agency.query(f"WITH w AS (INSERT INTO warga (nik, nama) VALUES ('{nik(number)}', '{name}') RETURNING id)"
                     f" INSERT INTO kepesertaan (id_warga, program, biaya) SELECT id, '{program}', {cost} FROM w")
    else:
        agency.query(f"BEGIN; INSERT INTO peserta VALUES ('{nik(number)}', '{name}');"
                     f" INSERT INTO kepesertaan (nik, program, biaya) VALUES ('{nik(number)}', '{program}', {cost}); COMMIT")


def test_what_each_says_by_its_own_keys_is_one_enrolment(region):
    everything = [(nik(n), "PKH", str(100 * n)) for n in range(1, 7)] + [(nik(12), "PBI", "42")]
    assert region.query("SELECT 1 FROM selaras.hold") == []  # people are told of before what refers to them, whatever the mapping's order
    for agency in (region.dinsos, region.dinkes):
        becomes(agency, f"SELECT * FROM ({COPY[agency.name]}) AS e ORDER BY 1, 2", everything)
    assert region.value("SELECT count(*) FROM selaras.enrolment WHERE exists") == "7"
    becomes(region.bappeda, "SELECT program, sum(biaya), count(*) FROM belanja GROUP BY 1 ORDER BY 1", [("PBI", "42", "1"), ("PKH", "2100", "6")])


def test_a_person_and_an_enrolment_come_in_one_transaction(region):
    add(region.dinsos, 20, "PKH", 7)
    add(region.dinkes, 21, "PBI", 8)
    for agency in (region.dinsos, region.dinkes):
        becomes_enrolled(agency, 20, [("PKH", "7")])
        becomes_enrolled(agency, 21, [("PBI", "8")])
    # A corrected number is another key at dinkes, of the same person.
    region.dinsos.query(f"UPDATE warga SET nik = '{nik(22)}' WHERE nik = '{nik(20)}'")
    becomes_enrolled(region.dinkes, 22, [("PKH", "7")])
    region.dinsos.query(f"UPDATE kepesertaan SET id_warga = (SELECT id FROM warga WHERE nik = '{nik(21)}'), biaya = 9"
                        f" WHERE id_warga = (SELECT id FROM warga WHERE nik = '{nik(22)}')")
    becomes_enrolled(region.dinkes, 21, [("PBI", "8"), ("PKH", "9")])
    becomes_enrolled(region.dinkes, 22, [])


def test_the_command_names_records_and_never_a_local_key(region):
    number, person = region.query(f"SELECT e.number, r.number FROM selaras.enrolment e JOIN selaras.resident r ON r.number = e.person"
                                  f" WHERE r.nik = '{nik(12)}'")[0]
    shown = region.run.call([region.run.program("selaras"), "record", "enrolment", f"person={person},program=PBI"])[1]
    assert f"enrolment {number}" in shown and f"resident {person}" in shown and "a row of peserta" in shown
    assert nik(12) not in shown
    # Who has no table of people has nothing by which a row could say whom it means.
    mapping = MAPPING["bappeda"].replace("            cost\n", "            person\n                column = orang\n                block = orang\n"
                                         "            cost\n")
    path = region.run.write("unmappable.zpl", HEAD.format(name="bappeda").replace("@KEY@", region.bappeda.key_file).replace("@BROKER_KEY@", region.key)
                            .replace("@CONTROL@", "/nowhere/agent.sock").replace("@ENDPOINT@", region.endpoint) + mapping)
    status, output, errors = region.run.call([region.run.program("selaras"), "check", "mapping", path, "--catalog", region.catalog,
                                              "--offline"], check=False)
    assert status != 0 and "refers to record type resident, of which this mapping has no block" in output + errors


def test_what_goes_together_is_deleted_together(region):
    add(region.dinsos, 30, "PKH", 1)
    becomes_enrolled(region.dinkes, 30, [("PKH", "1")])
    region.dinkes.query(f"BEGIN; DELETE FROM kepesertaan WHERE nik = '{nik(30)}'; DELETE FROM peserta WHERE nik = '{nik(30)}'; COMMIT")
    becomes(region.dinsos, f"SELECT count(*) FROM warga WHERE nik = '{nik(30)}'", [("0",)])
    assert region.query("SELECT 1 FROM selaras.debt WHERE settled IS NULL") == []


def test_who_is_said_to_be_another_one_takes_the_enrolments_along(region):
    """The row that goes is referred to in both databases: what refers to it must stand at the other one before that."""
    region.dinsos.query(f"INSERT INTO warga (nik, nama) VALUES ('{nik(31)}', 'Satu'), ('{nik(32)}', 'Dua')")
    region.dinsos.query(f"INSERT INTO kepesertaan (id_warga, program, biaya) SELECT id, 'KIP', 31 FROM warga WHERE nik = '{nik(32)}'")
    becomes_enrolled(region.dinkes, 32, [("KIP", "31")])
    keep, other = (region.value(f"SELECT number FROM selaras.resident WHERE nik = '{nik(n)}'") for n in (31, 32))
    region.selaras("record", "same", "resident", keep, other, "--ground", "SK 3/2026", "--yes")
    for agency in (region.dinsos, region.dinkes):
        becomes_enrolled(agency, 31, [("KIP", "31")])
    becomes(region.dinsos, f"SELECT count(*) FROM warga WHERE nik = '{nik(32)}'", [("0",)])
    becomes(region.dinkes, f"SELECT count(*) FROM peserta WHERE nik = '{nik(32)}'", [("0",)])
    region.selaras("record", "different", "resident", keep, other, "--ground", "SK 4/2026")
    for agency in (region.dinsos, region.dinkes):
        becomes_enrolled(agency, 32, [("KIP", "31")])


def test_an_enrolment_of_someone_unknown_waits_and_heals(region):
    add(region.dinsos, 40, "PKH", 1)
    becomes_enrolled(region.dinkes, 40, [("PKH", "1")])
    # Who is not active is not dinsos's to tell of; her enrolment waits for that.
    region.dinsos.query(f"WITH w AS (INSERT INTO warga (nik, nama, aktif) VALUES ('{nik(41)}', 'Belum', 'N') RETURNING id)"
                        " INSERT INTO kepesertaan (id_warga, program, biaya) SELECT id, 'PKH', 5 FROM w")
    wait_for("the hold", lambda: region.query("SELECT reason, cause FROM selaras.hold WHERE closed_at IS NULL")
             == [("unknown reference", "unknown")])
    assert enrolled(region.dinkes, f"nik = '{nik(41)}'") == []
    region.dinsos.query(f"UPDATE warga SET aktif = 'Y' WHERE nik = '{nik(41)}'")
    becomes_enrolled(region.dinkes, 41, [("PKH", "5")])
    wait_for("the hold's end", lambda: region.query("SELECT 1 FROM selaras.hold WHERE closed_at IS NULL") == [])


def test_what_a_table_refuses_is_parked_with_what_refers_to_it(region):
    add(region.dinsos, 50, "PKH", 3, name="Ditolak")
    wait_for("both parked", lambda: region.dinkes.query("SELECT count(*) FROM selaras.parked") == [("2",)])
    region.dinkes.query("ALTER TABLE peserta DROP CONSTRAINT peserta_nama_check")
    for record in region.dinkes.query("SELECT record FROM selaras.parked ORDER BY position"):
        region.run.call([region.run.program("selaras"), "parked", "retry", *record, "--socket", region.dinkes.control])
    becomes_enrolled(region.dinkes, 50, [("PKH", "3")])
    assert region.dinkes.query("SELECT count(*) FROM selaras.parked") == [("0",)]


def test_nothing_is_lost_or_doubled_however_often_they_die(region):
    for n in range(60, 84):
        add(region.agencies["dinsos" if n % 2 else "dinkes"], n, "PKH", n)
        if n % 6 == 0:
            agency = region.dinsos if n % 12 else region.dinkes
            agency.kill()
            agency.start(wait=False)
    for agency in (region.dinsos, region.dinkes):
        becomes(agency, f"SELECT count(*), count(DISTINCT nik), sum(biaya) FROM ({COPY[agency.name]}) AS e"
                f" WHERE nik BETWEEN '{nik(60)}' AND '{nik(83)}'", [("24", "24", str(sum(range(60, 84))))])
    assert region.dinkes.query("SELECT count(*) FROM selaras.parked") == [("0",)]
