"""Two databases of one's own, set up as README says: tables, types and habits that are nothing like the sample's, and an agent's role
that has no right but what `selaras-agent --prepare` gives it."""

import json
import os

import pytest

from agency import PostgresAgency
from cluster import wait_for
from region import Region

OWN = f"{os.path.dirname(os.path.abspath(__file__))}/own"
BLOCKS = {"bappeda": {"program", "pagu"}, "bpkad": {"anggaran"}}      # that have a row: the treasury has no programs yet
LINES = {
    "bappeda": """SELECT btrim("NoBaris") AS line, kode_program AS program, pagu::numeric(18, 2) AS ceiling, tahun::text AS year,
                         tgl_sk::date AS decided FROM "Pagu" """,
    "bpkad": """SELECT no_baris AS line, prog AS program, pagu_rp::numeric(18, 2) AS ceiling, ta::text AS year, sk::date AS decided
                FROM keu.anggaran""",
}


def prepare(agency, *options):
    return agency.run.call([agency.run.program("selaras-agent"), "--prepare", *options, agency.file], check=False)


def check(agency):
    status, output, errors = agency.run.call([agency.run.program("selaras-agent"), "--check", agency.file], check=False)
    return status, output + errors


def lines(agency):
    return agency.query(f"SELECT * FROM ({LINES[agency.name]}) AS l ORDER BY line")


@pytest.fixture(scope="module")
def own():
    made = Region(agencies=[])
    try:
        made.catalog = f"{OWN}/catalog.zpl"
        made.agencies = {name: PostgresAgency(made, name, f"{OWN}/{name}.zpl.in", f"{OWN}/{name}.sql") for name in LINES}
        made.create_servers()
        made.configure(fence_interval="250ms")
        made.start_broker()
        yield made
    finally:
        made.end()


def same_lines(own):
    wait_for("both have the same budget lines", lambda: lines(own.bappeda) == lines(own.bpkad) and lines(own.bpkad), 30)


def test_before_the_role_is_there_prepare_says_how_to_connect(own):
    status, _, errors = prepare(own.bpkad)
    assert status == 1
    assert "--dsn" in errors and "selaras" in errors


def test_prepare_gives_the_role_all_it_needs(own):
    for agency in own.agencies.values():
        dsn = agency.postgres.dsn(agency.name)
        status, output, errors = prepare(agency, "--apply", "--dsn", dsn)
        assert status == 0, errors
        assert 'CREATE ROLE "selaras" LOGIN REPLICATION;' in output
        status, said = check(agency)
        assert status == 0, said
        _, output, _ = own.selaras("check", "mapping", agency.file, "--catalog", f"{own.run.folder}/catalog.zpl", "--json")
        shown = json.loads(output)
        assert shown["result"] == "ok" and {row["block"] for row in shown["examples"]} == BLOCKS[agency.name]


def test_a_sequence_that_the_role_may_not_use_is_named_before_the_start(own):
    own.bappeda.query('REVOKE USAGE ON SEQUENCE "Pagu_id_seq" FROM selaras')
    status, said = check(own.bappeda)
    assert status == 1
    assert "Pagu_id_seq" in said and "--prepare" in said
    status, output, errors = prepare(own.bappeda, "--apply", "--dsn", own.bappeda.postgres.dsn("bappeda"))
    assert status == 0, errors
    assert 'GRANT USAGE ON SEQUENCE public."Pagu_id_seq" TO "selaras";' in output
    assert check(own.bappeda)[0] == 0


def test_both_come_in_step_from_what_each_has(own):
    for agency in own.agencies.values():
        agency.enrol()
        agency.start()
    same_lines(own)
    assert len(lines(own.bpkad)) == 50
    assert own.bpkad.value("SELECT count(*) FROM keu.ref_program") == "9"
    assert own.bpkad.query("SELECT uraian, status, kategori FROM keu.ref_program WHERE kd = '1.01.01'") == [("Program 1", "t", "health")]
    # the smaller ceiling, by the catalog's rule
    assert own.bappeda.value("""SELECT pagu FROM "Pagu" WHERE "NoBaris" = 'B00025'""") == "25000000.00"


def test_changes_of_both_meet(own):
    own.bpkad.query("INSERT INTO keu.anggaran VALUES ('B00099', NULL, 12.5, 1, 2027, NULL)")
    own.bappeda.query("""UPDATE "Pagu" SET kode_program = '1.09.01' WHERE "NoBaris" = 'B00050'""")
    own.bappeda.query("""UPDATE program SET aktif = 'T', catatan = 'not ours to know' WHERE kode = '1.02.01'""")
    wait_for("the treasury's line is at the planners", lambda: ("B00099", None, "12.50", "2027", None) in lines(own.bappeda), 30)
    wait_for("the program has ended there too",
             lambda: own.bpkad.value("SELECT status FROM keu.ref_program WHERE kd = '1.02.01'") == "f", 30)
    same_lines(own)


def test_a_value_that_only_the_other_may_set_is_put_back(own):
    own.bpkad.query("UPDATE keu.anggaran SET prog = '1.03.01' WHERE no_baris = 'B00050'")
    wait_for("the notice is there", lambda: own.bpkad.query(
        "SELECT field, yours, now, decided_by FROM selaras.notice WHERE key = 'B00050'") == [("program", "1.03.01", "1.09.01", "bappeda")], 30)
    same_lines(own)
