"""The auditor at psql, with a role that only reads: who changed what, when, on what ground, and where it arrived."""

import re

import pytest

from cluster import ROOT, Failed
from region import Region

NIK = "6402060101900001"
NAME = "Satu Warga Desa"


@pytest.fixture(scope="module")
def region():
    """Two agencies in step, and what an auditor asks about: a change of the owner, one that was put back."""
    made = Region()
    try:
        made.create_servers()
        for role in ("selaras_auditor", "selaras_reader"):
            made.postgres.query("postgres", f"CREATE ROLE {role}")
        made.postgres.query("postgres", "CREATE ROLE ani LOGIN IN ROLE selaras_auditor")
        made.postgres.query("postgres", "CREATE ROLE budi LOGIN IN ROLE selaras_reader")
        made.postgres.query("postgres", "CREATE ROLE cici LOGIN")
        made.postgres.query("postgres", "CREATE ROLE owner LOGIN; ALTER DATABASE selaras OWNER TO owner")
        made.dinsos.query(f"INSERT INTO penerima_bantuan (nik, nama, berhak) VALUES ('{NIK}', '{NAME}', 'T')")
        made.configure(fence_interval="250ms")
        settings = f"{made.run.folder}/broker.zpl"
        with open(settings, encoding="utf-8") as file:
            text = file.read()
        made.run.write("broker.zpl", text.replace("dbname=selaras user=postgres", "dbname=selaras user=owner"))
        made.start()
        made.wait_in_step()
        made.dinsos.query(f"UPDATE penerima_bantuan SET berhak = 'Y' WHERE nik = '{NIK}'")
        made.wait_in_step()
        made.dinkes.query(f"UPDATE peserta_jkn SET berhak_pbi = false, no_hp = '081234567890' WHERE nik = '{NIK}'")
        made.wait_in_step()
        yield made
    finally:
        made.end()


def as_role(region, role, sql):
    """Rows as text, or Failed."""
    status, output, errors = region.run.call(
        ["psql", "-X", "-q", "-At", "-F", "|", "-v", "ON_ERROR_STOP=1", "-h", region.postgres.folder, "-U", role, "-d", "selaras", "-c", sql],
        check=False)
    if status != 0:
        raise Failed(errors)
    return output.split("\n")[:-1]


def test_who_changed_the_eligibility_of_this_person(region):
    assert as_role(region, "ani", "SELECT agency, field, old, new, verdict, rule FROM selaras.change_log"
                   f" WHERE record = selaras.record_number('resident', 'nik', '{NIK}') AND field = 'eligible' AND operation = 'update'"
                   " ORDER BY position") == ["dinsos|eligible|false|true|applied|no conflict", "dinkes|eligible|true|false|put back|not allowed"]


def test_where_it_arrived(region):
    arrived = as_role(region, "ani", "SELECT a.agency, a.applied_at >= l.time FROM selaras.change_log l, selaras.arrival(l.position) a"
                      " WHERE l.field = 'eligible' AND l.verdict = 'applied' AND l.operation = 'update' ORDER BY 1")
    assert arrived == ["dinkes|t", "dinsos|t"]


def test_what_was_put_back_and_all_changes_of_an_agency(region):
    assert as_role(region, "ani", "SELECT agency, field FROM selaras.change_log WHERE verdict = 'put back'") == ["dinkes|eligible"]
    assert as_role(region, "ani", "SELECT field FROM selaras.change_log WHERE agency = 'dinkes' AND kind = 'change'"
                   " AND operation = 'update' AND time >= current_date - 1 ORDER BY field") == ["eligible", "phone"]


def test_what_operators_did_is_there_too(region):
    says = as_role(region, "ani", "SELECT says FROM selaras.change_log WHERE kind = 'enrolment'")
    assert len(says) == 2 and all(" by " in line for line in says)


def test_the_examples_of_the_manual_are_answered(region):
    with open(f"{ROOT}/man/selaras-ledger.7", encoding="utf-8") as file:
        examples = re.findall(r"^\.nf\n(SELECT.*?);\n\.fi$", file.read(), re.M | re.S)
    assert len(examples) == 4
    answers = [as_role(region, "ani", example.replace("\\-", "-").replace("6402061505780003", NIK)) for example in examples]
    assert len(answers[0]) == 6     # loaded, changed and put back, each at two agencies
    assert len(answers[2]) == 1


def test_an_auditor_sees_no_personal_value(region):
    everything = as_role(region, "ani", "SELECT * FROM selaras.change_log") + as_role(region, "ani", "SELECT * FROM selaras.resident_masked")
    assert any("6402**********01" in line for line in everything)
    assert not any(NIK in line or NAME in line or "081234567890" in line for line in everything)
    for hidden in ("SELECT body FROM selaras.entry", "SELECT salt FROM selaras.entry", "SELECT effect FROM selaras.entry",
                   "SELECT nik FROM selaras.resident", "SELECT key FROM selaras.link", "SELECT * FROM selaras.entry"):
        with pytest.raises(Failed, match="permission denied"):
            as_role(region, "ani", hidden)
    assert as_role(region, "ani", "SELECT count(*) > 0 FROM selaras.entry WHERE kind = 'change'") == ["t"]


def test_a_name_that_is_no_identifier_is_refused(region):
    with pytest.raises(Failed, match="no identifier"):
        as_role(region, "ani", "SELECT selaras.record_number('resident', 'name', 'x')")
    with pytest.raises(Failed, match="no identifier"):
        as_role(region, "ani", "SELECT selaras.record_number('resident; DROP TABLE x', 'nik', 'x')")
    with pytest.raises(Failed, match="permission denied"):
        as_role(region, "cici", "SELECT selaras.record_number('resident', 'nik', 'x')")


CHANGING = ["UPDATE selaras.entry SET agency = 'x'", "UPDATE selaras.entry SET time = now()", "DELETE FROM selaras.entry",
            "TRUNCATE selaras.entry", "INSERT INTO selaras.entry SELECT * FROM selaras.entry LIMIT 1",
            "UPDATE selaras.entry_1_0000 SET fields = '{}'", "DELETE FROM selaras.entry_1_0000", "TRUNCATE selaras.entry_1_0000"]


@pytest.mark.parametrize("sql", CHANGING)
@pytest.mark.parametrize("role", ["ani", "budi"])
def test_who_reads_changes_nothing(region, role, sql):
    with pytest.raises(Failed, match="permission denied"):
        as_role(region, role, sql)


@pytest.mark.parametrize("role", ["owner", "postgres"])
@pytest.mark.parametrize("sql", [sql for sql in CHANGING if not sql.startswith("INSERT")])
def test_not_even_the_owner_rewrites_the_ledger_silently(region, role, sql):
    before = region.value("SELECT count(*), max(position), md5(string_agg(leaf::text, '' ORDER BY position)) FROM selaras.entry")
    with pytest.raises(Failed, match="append-only"):
        as_role(region, role, sql)
    if role == "postgres":
        with pytest.raises(Failed, match="append-only"):
            as_role(region, role, f"SET session_replication_role = replica; {sql}")
    assert region.value("SELECT count(*), max(position), md5(string_agg(leaf::text, '' ORDER BY position)) FROM selaras.entry") == before


def test_selaras_log_is_for_readers(region):
    def log(role):
        return region.selaras("log", "--database", region.postgres.dsn("selaras", role), check=False)
    assert log("budi")[0] == 0
    status, _, errors = log("ani")
    assert status == 1 and "GRANT selaras_reader TO ani" in errors
    assert log("cici")[0] == 1


def test_a_role_that_is_made_later_gets_its_rights_at_the_next_start(region):
    region.query("REVOKE ALL ON ALL TABLES IN SCHEMA selaras FROM selaras_auditor; REVOKE USAGE ON SCHEMA selaras FROM selaras_auditor")
    with pytest.raises(Failed, match="permission denied"):
        as_role(region, "ani", "SELECT 1 FROM selaras.change_log")
    region.broker.stop()
    region.start_broker()
    assert as_role(region, "ani", "SELECT count(*) > 0 FROM selaras.change_log") == ["t"]
