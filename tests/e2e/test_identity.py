"""Who is who: records that several columns find together, and one row that is several records of one type."""

import textwrap

import pytest

from cluster import wait_for
from region import Agency, Region

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
"""

HEAD = """\
agent
    agency = {name}
    database = "@DATABASE@"
    key = "@KEY@"
    control = "@CONTROL@"
broker
    endpoint = "@ENDPOINT@"
    key = "@BROKER_KEY@"
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
MAPPING = {"dinsos": "mapping\n" + "".join(COLUMN.format(name=name, program=name.upper()) for name in ("pkh", "bpnt", "pbi")),
           "dinkes": """\
mapping
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
"""}

SCHEMA = {"dinsos": """\
    CREATE TABLE bantuan (nik text PRIMARY KEY, nama text,
        pkh char(1) NOT NULL DEFAULT 'T', pkh_sejak date, bpnt char(1) NOT NULL DEFAULT 'T', bpnt_sejak date,
        pbi char(1) NOT NULL DEFAULT 'T', pbi_sejak date);
    INSERT INTO bantuan SELECT '64020601018000' || lpad(n::text, 2, '0'), 'Warga ' || n, CASE WHEN n % 2 = 0 THEN 'Y' ELSE 'T' END,
        '2026-01-01', CASE WHEN n % 3 = 0 THEN 'Y' ELSE 'T' END, '2026-02-01', 'T' FROM generate_series(1, 12) n;
""", "dinkes": """\
    CREATE TABLE kepesertaan (id serial PRIMARY KEY, nik text NOT NULL, program text NOT NULL, tahun integer NOT NULL, sejak date,
        UNIQUE (nik, program, tahun));
    INSERT INTO kepesertaan (nik, program, tahun, sejak) VALUES
        ('6402060101800001', 'PBI', 2026, '2026-03-01'), ('6402060101800001', 'PBI', 2025, '2025-03-01'),
        ('6402060101800002', 'PKH', 2026, '2020-01-01');
"""}


def nik(number):
    return f"64020601018000{number:02}"


@pytest.fixture(scope="module")
def known():
    region = Region(agencies=[])
    try:
        for name in ("dinsos", "dinkes"):
            template = region.run.write(f"{name}.zpl.in", HEAD.format(name=name) + MAPPING[name])
            schema = region.run.write(f"{name}.sql", textwrap.dedent(SCHEMA[name]))
            region.agencies[name] = Agency(region, name, template=template, schema=schema)
        region.catalog = region.run.write("agreed.zpl", CATALOG)
        region.create_servers()
        region.configure(fence_interval="250ms")
        region.start()
        yield region
    finally:
        region.end()


def becomes(agency, sql, expected, seconds=20):
    """Until the query says so; shows what it said last when it never does."""
    said = []

    def right():
        said[:] = agency.query(sql)
        return said == expected
    try:
        wait_for("the copy", right, seconds)
    except Exception:
        assert said == expected
        raise


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
