"""Nightly reloads: an agency deletes everything and inserts it anew, and exactly what is different then is told to the others.

Residents may be away for a minute, programmes for two seconds. dinsos finds residents by their number, at dinkes the database makes
the keys and a status says who is one of theirs."""

import json
import signal

import psycopg
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
            phone
                type = text
                personal = yes
                write = "dinkes dinsos"
    program
        existence
            write = "dinsos dinkes"
        read
            dinsos = law
            dinkes = agreement
        fields
            code
                type = text
                identifier = yes
                write = "dinsos dinkes"
            title
                type = text
                write = "dinsos dinkes"
"""

MAPPING = """\
mapping
    orang
        type = resident
        table = orang
        key = {key}
{where}        insert = yes
        delete = row
        absence = 1min
        fields
            nik
                column = nik
            name
                column = nama
            phone
                column = telepon
    kegiatan
        type = program
        table = kegiatan
        key = code
        insert = yes
        delete = row
        absence = 2s
        fields
            code
                column = kode
            title
                column = judul
"""
TABLES = """
    CREATE TABLE orang ({key} nama text, telepon text, catatan text DEFAULT 'milik kami', status text DEFAULT 'AKTIF');
    CREATE TABLE kegiatan (kode text PRIMARY KEY, judul text, catatan text DEFAULT 'milik kami');
    ALTER TABLE orang REPLICA IDENTITY FULL;
    ALTER TABLE kegiatan REPLICA IDENTITY FULL;
"""
PEOPLE = 60


@pytest.fixture(scope="module")
def region():
    mappings = {"dinsos": MAPPING.format(key="nik", where=""),
                "dinkes": MAPPING.format(key='"generated id"', where="        where\n            status = AKTIF\n")}
    schemas = {"dinsos": TABLES.format(key="nik text PRIMARY KEY,") +
               f"INSERT INTO orang SELECT '64020601018000' || lpad(n::text, 2, '0'), 'Warga ' || n, '0812' || n FROM generate_series(1, {PEOPLE}) n;"
               "INSERT INTO kegiatan SELECT 'K' || n, 'Kegiatan ' || n FROM generate_series(1, 9) n;",
               "dinkes": TABLES.format(key="id serial PRIMARY KEY, nik text UNIQUE,")}
    with mapped_region(CATALOG, mappings, schemas) as region:
        becomes(region.dinkes, "SELECT count(*) FROM orang", [(str(PEOPLE),)])
        becomes(region.dinkes, "SELECT count(*) FROM kegiatan", [("9",)])
        region.dinkes.query("UPDATE orang SET catatan = 'rak ' || id")
        yield region


@pytest.fixture(scope="module")
def loading(region):
    """dinsos lets its tables be loaded anew."""
    region.dinsos.stop()
    region.dinsos.configure([("        absence = 1min\n", "        absence = 5s\n        reload = yes\n")], fence_interval="250ms")
    region.dinsos.start()
    region.dinkes.query("UPDATE orang SET catatan = 'rak ' || id")
    return region.dinsos


def loads(region):
    return int(region.value("SELECT count(*) FROM selaras.entry WHERE kind = 'load end' AND agency = 'dinsos'"))


def applied(region):
    """What of dinsos was news to the others."""
    return int(region.value("SELECT count(*) FROM selaras.entry WHERE kind = 'change' AND agency = 'dinsos' AND effect IS NOT NULL"))


def assert_loaded(region, number, phone, before):
    """It was loaded anew by itself, and what new_table() makes was news: one telephone, one row, and that one is gone."""
    dinkes = region.dinkes
    becomes(dinkes, f"SELECT telepon FROM orang WHERE nik = '{nik(number)}'", [(phone,)], 40)
    wait_for("it is active again", lambda: region.query(
        "SELECT state FROM selaras.agency WHERE name = 'dinsos'") == [("active",)], 40)
    becomes(dinkes, f"SELECT nama FROM orang WHERE nik IN ('{nik(number + 20)}', '{nik(number + 50)}')", [("Warga Lain",)])
    assert (loads(region), applied(region)) == (before[0] + 1, before[1] + 3)
    assert region.dinsos.value(f"SELECT count(*) FROM orang WHERE nik = '{nik(number + 20)}'") == "0"
    assert dinkes.value(f"SELECT count(*) FROM orang WHERE catatan NOT LIKE 'rak %' AND nik < '{nik(70)}'") == "0"
    assert region.value("SELECT count(*) FROM selaras.had") == "0"
    assert region.value("SELECT count(*) FROM selaras.entry WHERE kind = 'quarantine'") == "0"


def changes(region, agency):
    return int(region.value(f"SELECT count(*) FROM selaras.entry WHERE kind = 'change' AND agency = '{agency}'"))


def mark(agency):
    """Until the broker has all of this agency's stream."""
    region, at = agency.region, agency.value("SELECT pg_current_wal_insert_lsn() - '0/0'")
    wait_for(f"the broker has read {agency.name}", lambda: int(region.value(
        f"SELECT lsn FROM selaras.agency WHERE name = '{agency.name}'")) >= int(at), 30)


def status(agency):
    return json.loads(agency.region.selaras("status", "--json", "--socket", agency.control)[1])


def killed(agency):
    agency.kill()
    agency.start()


def seen(region, at, number, fields="nama, telepon"):
    return region.agencies[at].query(f"SELECT {fields} FROM orang WHERE nik = '{nik(number)}'")


def test_a_reload_in_one_transaction(region):
    dinsos, dinkes = region.dinsos, region.dinkes
    before = changes(region, "dinsos")
    dinsos.query("BEGIN; CREATE TEMP TABLE baru AS TABLE orang; UPDATE baru SET telepon = '0899' WHERE nik = "
                 f"'{nik(7)}'; DELETE FROM orang; INSERT INTO orang SELECT * FROM baru; COMMIT")
    becomes(dinkes, f"SELECT telepon, catatan FROM orang WHERE nik = '{nik(7)}'", [("0899", "rak 7")])
    mark(dinsos)
    assert changes(region, "dinsos") == before + 1


def test_a_reload_in_many_transactions_and_the_agent_is_killed_in_between(region):
    dinsos, dinkes = region.dinsos, region.dinkes
    before = changes(region, "dinsos")
    dinsos.query("CREATE TABLE baru AS TABLE orang")
    dinsos.query(f"UPDATE baru SET telepon = '0877' WHERE nik = '{nik(8)}'")
    for digit in range(10):
        dinsos.query(f"DELETE FROM orang WHERE nik LIKE '%{digit}'")
        if digit == 4:
            killed(dinsos)
    mark(dinsos)
    assert changes(region, "dinsos") == before and dinsos.value("SELECT count(*) FROM selaras.absent") == str(PEOPLE)
    killed(dinsos)
    assert dinkes.value("SELECT count(*) FROM orang") == str(PEOPLE)
    for digit in range(10):
        dinsos.query(f"INSERT INTO orang SELECT * FROM baru WHERE nik LIKE '%{digit}'")
        if digit == 6:
            killed(dinsos)
    becomes(dinkes, f"SELECT telepon, catatan FROM orang WHERE nik = '{nik(8)}'", [("0877", "rak 8")])
    mark(dinsos)
    assert changes(region, "dinsos") == before + 1
    becomes(dinsos, "SELECT count(*) FROM selaras.absent", [("0",)])
    dinsos.query("DROP TABLE baru")


def test_what_was_kept_for_transactions_that_the_broker_does_not_have_is_made_anew(region):
    """The broker does nothing while a row goes and while it comes back, and each time both are killed."""
    dinsos, dinkes = region.dinsos, region.dinkes
    before = changes(region, "dinsos")
    for statement, kept in ((f"DELETE FROM orang WHERE nik = '{nik(14)}'", "settled IS NULL"),
                            (f"INSERT INTO orang VALUES ('{nik(14)}', 'Warga 14', '0814')", "settled IS NOT NULL")):
        region.broker.send(signal.SIGSTOP)
        dinsos.query(statement)
        becomes(dinsos, f"SELECT count(*) FROM selaras.absent WHERE {kept}", [("1",)])
        dinsos.kill()
        region.broker.kill()  # and with it what it had not read yet
        region.start_broker()
        dinsos.start()
        mark(dinsos)
    becomes(dinkes, f"SELECT telepon FROM orang WHERE nik = '{nik(14)}'", [("0814",)])
    assert changes(region, "dinsos") == before + 1
    assert region.value("SELECT operation FROM selaras.entry WHERE kind = 'change' AND agency = 'dinsos' ORDER BY position DESC LIMIT 1") == "update"


def test_a_reload_in_two_transactions_where_the_database_makes_keys(region):
    dinkes, dinsos = region.dinkes, region.dinsos
    before = changes(region, "dinkes")
    dinkes.query("CREATE TABLE baru AS SELECT nik, nama, telepon FROM orang")
    dinkes.query(f"UPDATE baru SET telepon = '0866' WHERE nik = '{nik(9)}'")
    dinkes.query("DELETE FROM orang")
    mark(dinkes)
    killed(dinkes)
    dinkes.query("INSERT INTO orang (nik, nama, telepon) SELECT * FROM baru ORDER BY nik")
    becomes(dinsos, f"SELECT telepon, catatan FROM orang WHERE nik = '{nik(9)}'", [("0866", "milik kami")])
    mark(dinkes)
    # Each has another key, which the broker must know; but no value beside the one is anybody's business.
    assert changes(region, "dinkes") == before + PEOPLE
    assert region.value("SELECT count(*) FROM selaras.entry WHERE kind = 'change' AND agency = 'dinkes'"
                        " AND (effect IS NOT NULL OR reply IS NOT NULL) AND operation = 'update'") == "1"
    dinsos.query(f"UPDATE orang SET nama = 'Warga Lain' WHERE nik = '{nik(10)}'")
    becomes(dinkes, f"SELECT nama FROM orang WHERE nik = '{nik(10)}'", [("Warga Lain",)])
    dinkes.query("DROP TABLE baru")


def test_what_others_write_while_rows_are_away_is_there_when_they_are_back(region):
    dinsos, dinkes = region.dinsos, region.dinkes
    dinsos.query("CREATE TABLE baru AS TABLE orang")
    dinsos.query(f"UPDATE baru SET nama = 'Warga Baru' WHERE nik = '{nik(11)}'")
    dinsos.query(f"DELETE FROM orang WHERE nik BETWEEN '{nik(11)}' AND '{nik(13)}'")
    mark(dinsos)
    assert status(dinsos)["absent"] == 3
    dinkes.query(f"UPDATE orang SET telepon = '0855' WHERE nik = '{nik(11)}'")
    dinkes.query(f"UPDATE orang SET status = 'PINDAH' WHERE nik = '{nik(12)}'")  # it is not away: it was not deleted
    dinkes.query(f"UPDATE orang SET telepon = '0844' WHERE nik = '{nik(13)}'")
    becomes(dinsos, "SELECT count(*) FROM selaras.parked WHERE reason LIKE '%absence%'", [("3",)])
    killed(dinsos)
    dinsos.query(f"INSERT INTO orang SELECT * FROM baru WHERE nik BETWEEN '{nik(11)}' AND '{nik(13)}'")
    becomes(dinsos, f"SELECT nama, telepon FROM orang WHERE nik BETWEEN '{nik(11)}' AND '{nik(13)}' ORDER BY nik",
            [("Warga Baru", "0855"), ("Warga 13", "0844")])
    becomes(dinkes, f"SELECT nama, telepon FROM orang WHERE nik = '{nik(11)}'", [("Warga Baru", "0855")])
    assert seen(region, "dinkes", 13) == [("Warga 13", "0844")]
    becomes(dinsos, "SELECT count(*) FROM selaras.parked", [("0",)])
    dinsos.query("DROP TABLE baru")


def test_a_deletion_that_stays_travels_when_it_is_due(region):
    dinsos, dinkes = region.dinsos, region.dinkes
    dinsos.query("DELETE FROM kegiatan WHERE kode IN ('K1', 'K2', 'K3')")
    dinsos.kill()
    dinkes.query("UPDATE kegiatan SET judul = 'Tetap' WHERE kode = 'K2'")
    dinsos.start()
    dinsos.query("INSERT INTO kegiatan VALUES ('K3', 'Kegiatan 3')")
    becomes(dinkes, "SELECT kode FROM kegiatan WHERE kode IN ('K1', 'K3')", [("K3",)])
    mark(dinsos)
    assert dinsos.value("SELECT count(*) FROM kegiatan WHERE kode = 'K1'") == "0"
    becomes(dinsos, "SELECT count(*) FROM selaras.absent", [("0",)])
    becomes(dinsos, "SELECT count(*) FROM selaras.parked", [("0",)])
    # What dinkes wrote was not known where it was deleted: both end with the same.
    assert dinsos.query("SELECT judul FROM kegiatan WHERE kode = 'K2'") == dinkes.query("SELECT judul FROM kegiatan WHERE kode = 'K2'")


def test_a_deletion_whose_key_the_database_gives_to_another_row_travels_before_it(region):
    """The sequence begins anew while it waits, and the feed brings somebody else. Who was deleted is somebody's whom dinsos has just told of."""
    dinsos, dinkes = region.dinsos, region.dinkes
    key = dinkes.value(f"SELECT id FROM orang WHERE nik = '{nik(30)}'")
    dinkes.query(f"DELETE FROM orang WHERE nik = '{nik(30)}'; SELECT setval('orang_id_seq', {key}, false)")
    mark(dinkes)
    dinsos.query(f"INSERT INTO orang VALUES ('{nik(61)}', 'Warga 61', '081261')")
    becomes(dinkes, f"SELECT id FROM orang WHERE nik = '{nik(61)}'", [(key,)])
    dinkes.query("SELECT setval('orang_id_seq', (SELECT max(id) FROM orang))")
    mark(dinkes)
    assert region.query("SELECT r.nik FROM selaras.entry e JOIN selaras.resident r ON r.number = e.record"
                        " WHERE e.kind = 'change' AND e.agency = 'dinkes' AND e.operation = 'delete' ORDER BY e.position DESC LIMIT 1") == [(nik(30),)]
    dinsos.query(f"UPDATE orang SET telepon = '0833' WHERE nik = '{nik(61)}'")
    becomes(dinkes, f"SELECT id, telepon FROM orang WHERE nik = '{nik(61)}'", [(key, "0833")])
    assert seen(region, "dinsos", 30) != []


def new_table(dinsos, number, phone):
    dinsos.query("CREATE TABLE baru (LIKE orang INCLUDING ALL); ALTER TABLE baru REPLICA IDENTITY FULL; INSERT INTO baru TABLE orang;"
                 f" UPDATE baru SET telepon = '{phone}' WHERE nik = '{nik(number)}'; DELETE FROM baru WHERE nik = '{nik(number + 20)}';"
                 f" INSERT INTO baru VALUES ('{nik(number + 50)}', 'Warga Lain')")


def test_a_truncate_with_its_rows_in_one_transaction_is_a_reload(region, loading):
    before = loads(region), applied(region)
    new_table(loading, 20, "0820")
    loading.query("BEGIN; TRUNCATE orang; INSERT INTO orang TABLE baru; DROP TABLE baru; COMMIT")
    assert_loaded(region, 20, "0820", before)
    shown = region.selaras("log", "--record", "resident", f"nik={nik(40)}", "--kind", "change", "--json")[1]
    assert [(row["agency"], row["operation"]) for row in json.loads(shown)["log"]][-1] == ("dinsos", "delete")


def test_a_truncate_whose_rows_come_later_is_a_reload(region, loading):
    """Until then nothing is missing anywhere, though the agent is killed."""
    before = loads(region), applied(region)
    new_table(loading, 21, "0821")
    loading.query("TRUNCATE orang")
    killed(loading)
    loading.query(f"INSERT INTO orang SELECT * FROM baru WHERE nik < '{nik(20)}'")
    loading.query(f"INSERT INTO orang SELECT * FROM baru WHERE nik >= '{nik(20)}'; DROP TABLE baru")
    assert_loaded(region, 21, "0821", before)


def test_a_new_table_renamed_over_the_old_one_is_a_reload(region, loading):
    before = loads(region), applied(region)
    new_table(loading, 22, "0822")
    loading.query("BEGIN; DROP TABLE orang; ALTER TABLE baru RENAME TO orang; ALTER PUBLICATION selaras ADD TABLE orang; COMMIT")
    assert_loaded(region, 22, "0822", before)


def test_a_new_table_that_is_not_published_is_named_and_loaded_once_it_is(region, loading):
    before = loads(region), applied(region)
    new_table(loading, 23, "0823")
    loading.query("BEGIN; ALTER TABLE orang RENAME TO lama; ALTER TABLE baru RENAME TO orang; COMMIT")
    assert loading.agent.wait(20) > 0
    assert "orang" in loading.agent.text() and "is not published" in loading.agent.text()
    loading.query("DROP TABLE lama")
    loading.prepare()
    loading.start()
    assert_loaded(region, 23, "0823", before)


def test_what_was_there_is_known_though_the_broker_is_killed_while_it_is_loaded(region, loading):
    before = loads(region), applied(region)
    new_table(loading, 24, "0824")
    with psycopg.connect(loading.postgres.dsn("dinsos")) as lock:
        lock.execute("LOCK TABLE kegiatan IN ACCESS EXCLUSIVE MODE")  # the load waits for it
        loading.query("BEGIN; TRUNCATE orang; INSERT INTO orang TABLE baru; DROP TABLE baru; COMMIT")
        becomes(region, "SELECT state FROM selaras.agency WHERE name = 'dinsos'", [("loading",)])
        region.broker.kill()
        region.start_broker()
    assert_loaded(region, 24, "0824", before)


def test_an_operators_reload_sends_back_what_is_missing(region, loading):
    """Something was lost before it: nobody knows who deleted."""
    before = loads(region), applied(region)
    loading.stop()
    loading.query(f"DELETE FROM orang WHERE nik = '{nik(45)}'; SELECT pg_drop_replication_slot('selaras_dinsos')")
    loading.start(wait=False)
    wait_for("it is quarantined", lambda: region.query("SELECT state FROM selaras.agency WHERE name = 'dinsos'") == [("quarantined",)], 40)
    loading.agent.wait(20)
    region.selaras("agency", "reload", "dinsos", "--ground", "SK 12/2026")
    loading.start()
    becomes(loading, f"SELECT catatan FROM orang WHERE nik = '{nik(45)}'", [("milik kami",)], 40)
    assert (loads(region), applied(region)) == (before[0] + 1, before[1])


def test_an_empty_table_is_not_taken_as_the_deletion_of_all(region, loading):
    people = region.dinkes.value("SELECT count(*) FROM orang")
    loading.query("TRUNCATE orang")
    wait_for("it is quarantined", lambda: region.query(
        "SELECT state, quarantine FROM selaras.agency WHERE name = 'dinsos'") == [("quarantined", "lost")], 40)
    assert "orang" in region.value("SELECT reason FROM selaras.agency WHERE name = 'dinsos'")
    assert region.dinkes.value("SELECT count(*) FROM orang") == people
    assert loading.value("SELECT count(*) FROM orang") == "0"
