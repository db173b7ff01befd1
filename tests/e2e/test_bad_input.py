"""Bad input: each a clear error that names the thing and the remedy; nothing lost, nothing crashed."""

import re
import time

import pytest

from cluster import AGENCY_SETTINGS, Postgres, wait_for
from region import Region


@pytest.fixture(scope="module")
def region():
    """Both agencies with one resident each, running."""
    made = Region()
    try:
        made.create_servers()
        made.dinsos.query("INSERT INTO penerima_bantuan (nik, nama, berhak) VALUES ('6402060101900001', 'Satu Warga', 'Y')")
        made.dinkes.query("INSERT INTO peserta_jkn (nik, nama_peserta) VALUES ('6402060101900002', 'Dua Warga')")
        made.configure(fence_interval="250ms")
        made.start()
        made.wait_in_step()
        yield made
    finally:
        made.end()


def edited(region, file, *edits):
    """A copy of one of the run's files, changed by (pattern, replacement): its path."""
    with open(f"{region.run.folder}/{file}", encoding="utf-8") as original:
        text = original.read()
    for pattern, replacement in edits:
        text, count = re.subn(pattern, replacement, text, flags=re.M)
        assert count, f"{pattern} is not in {file}"
    return region.run.write(f"bad-{file}", text)


def refused(region, program, *arguments, seconds=20):
    """Runs a daemon that must end by itself with an error; what it said."""
    process = region.run.start(f"bad-{program}-{len(region.run.processes)}", [region.run.program(program), *arguments])
    try:
        status = process.wait(seconds)
    finally:
        process.kill()
    assert status > 0, process.text()
    assert "Sanitizer" not in process.text()
    return process.text()


def says(text, *words):
    for word in words:
        assert word in text, f"{word!r} is not in:\n{text}"


# Configuration

@pytest.mark.parametrize("pattern, replacement, words", [
    (r"^    endpoint = .*", r'    endpont = "tcp://127.0.0.1:1"', ["endpont", "endpoint"]),
    (r"^    catalog = .*", "", ["catalog"]),
    (r"^    catalog = .*", '    catalog = "/nonexistent/catalog.zpl"', ["/nonexistent/catalog.zpl"]),
    (r"^    key = .*", '    key = "/nonexistent/broker.key"', ["/nonexistent/broker.key"]),
    (r"^    endpoint = .*", '    endpoint = "tcp://256.1.1.1:x"', ["256.1.1.1"]),
    (r"^broker$", "brokr", ["brokr", "broker"]),
], ids=["unknown word", "missing", "no catalog", "no key", "bad endpoint", "unknown section"])
def test_a_wrong_broker_file_is_named_with_its_remedy(region, pattern, replacement, words):
    path = edited(region, "broker.zpl", (pattern, replacement))
    says(refused(region, "selaras-broker", path), *words)


@pytest.mark.parametrize("pattern, replacement, words", [
    (r"^    agency = dinsos", "    agncy = dinsos", ["agncy", "agency"]),
    (r"column = nama$", "colum = nama", ["colum", "column"]),
    (r"^        key = nik$", "        key = nomor", ["nomor"]),
    (r"^    key = .*dinsos.key.*", '    key = "/nonexistent/dinsos.key"', ["/nonexistent/dinsos.key"]),
], ids=["unknown word", "mapping", "key field", "no key"])
def test_a_wrong_agent_file_is_named_with_its_remedy(region, pattern, replacement, words):
    path = edited(region, "dinsos.zpl", (pattern, replacement), (r"^    control = .*", f'    control = "{region.run.folder}/bad.sock"'))
    says(refused(region, "selaras-agent", path), *words)


def test_a_file_that_is_not_there(region):
    for program in ("selaras-broker", "selaras-agent"):
        says(refused(region, program, "/nonexistent/file.zpl"), "/nonexistent/file.zpl")


def test_a_key_that_others_may_read_is_refused(region):
    with open(region.dinsos.key_file, encoding="utf-8") as file:
        key = region.run.write("open.key", file.read(), mode=0o644)
    path = edited(region, "dinsos.zpl", (r"dinsos\.key", "open.key"), (r"dinsos\.sock", "bad.sock"))
    says(refused(region, "selaras-agent", path), key)


def test_a_wrong_key_of_the_broker_is_said_and_does_not_fill_the_log(region):
    region.dinsos.stop()
    path = edited(region, "dinsos.zpl", (rf"{region.key}", "1" * 64), (r"dinsos\.sock", "bad.sock"))
    agent = region.run.start("wrong-broker-key", [region.run.program("selaras-agent"), path])
    wait_for("the agent says so", lambda: "is broker/key the broker's public key" in agent.text(), 15)
    time.sleep(2)       # it tries again several times a second
    assert agent.text().count("warning") <= 2, agent.text()
    assert agent.alive()
    agent.stop()
    region.dinsos.start()


def test_the_key_of_another_agency_is_refused_and_that_agency_goes_on(region):
    """A key file that was copied to the wrong place: whose key it is goes on undisturbed."""
    region.dinsos.stop()
    path = edited(region, "dinsos.zpl", (r"dinsos\.key", "dinkes.key"))
    says(refused(region, "selaras-agent", path), "enrolled for dinkes", "key of its own")
    region.dinsos.start()
    states = {agency["name"]: (agency["state"], agency["link"]) for agency in region.status()["agencies"]}
    assert states == {"dinsos": ("active", "up"), "dinkes": ("active", "up")}
    assert region.value("SELECT count(*) FROM selaras.entry WHERE kind = 'quarantine'") == "0"
    region.dinkes.query("UPDATE peserta_jkn SET no_hp = '0812' WHERE nik = '6402060101900002'")
    region.wait_in_step()


def test_a_field_that_the_catalog_does_not_have_is_named(region):
    region.dinsos.stop()
    path = edited(region, "dinsos.zpl", (r"^            phone$", "            telephone"))
    says(refused(region, "selaras-agent", path), "telephone")
    region.dinsos.start()


def test_a_column_that_the_table_does_not_have_is_named(region):
    region.dinsos.stop()
    path = edited(region, "dinsos.zpl", (r"column = telepon", "column = telpon"))
    says(refused(region, "selaras-agent", path), "telpon", "penerima_bantuan")
    region.dinsos.start()


# Databases and keys

def test_an_unreachable_database_is_said_and_waited_for(region):
    """The agent says what it cannot reach, keeps trying, and goes on by itself when it is there."""
    region.dinsos.stop()
    region.dinsos.postgres.stop()
    region.dinsos.start(wait=False)
    wait_for("the agent says so", lambda: re.search(r"(?i)database|server|socket", region.dinsos.agent.text()), 15)
    assert region.dinsos.agent.alive()
    region.dinsos.postgres.start()
    region.dinsos.postgres.ready()
    region.dinsos.query("UPDATE penerima_bantuan SET telepon = '0811' WHERE nik = '6402060101900001'")
    region.wait_in_step(60)


def test_the_brokers_database_comes_late(region):
    region.broker.stop()
    region.postgres.stop()
    region.start_broker(wait=False)
    wait_for("the broker says so, or ends saying so", lambda: re.search(r"(?i)database|server|socket", region.broker.text()), 15)
    region.postgres.start()
    region.postgres.ready()
    if not region.broker.alive():       # its service would start it again
        region.start_broker(wait=False)
    region.wait_broker()
    region.dinsos.query("UPDATE penerima_bantuan SET telepon = '0822' WHERE nik = '6402060101900001'")
    region.wait_in_step(60)


def test_a_key_that_is_not_enrolled_gets_nowhere_and_says_why(region):
    region.dinsos.stop()
    key = f"{region.run.folder}/stranger.key"
    region.make_key(key)
    path = edited(region, "dinsos.zpl", (r"dinsos\.key", "stranger.key"))
    agent = region.run.start("stranger", [region.run.program("selaras-agent"), path])
    try:
        wait_for("the agent says that it is not let in", lambda: re.search(r"(?i)enrol|key", agent.text()), 30)
    finally:
        agent.kill()
    region.dinsos.start()


def test_a_wrong_broker_key_is_said(region):
    region.dinsos.stop()
    other = region.make_key(f"{region.run.folder}/other.key")
    path = edited(region, "dinsos.zpl", (region.key, other))
    agent = region.run.start("misled", [region.run.program("selaras-agent"), path])
    try:
        wait_for("the agent says that it gets no answer", lambda: re.search(r"(?i)key|answer", agent.text()), 30)
    finally:
        agent.kill()
    region.dinsos.start()


def test_enrolling_an_agency_that_the_catalog_does_not_name(region):
    status, output, errors = region.selaras("key", "enrol", "dinkse", "ab" * 32, check=False)
    assert status != 0
    says(output + errors, "dinkse", "dinkes")


# Tables

@pytest.fixture
def other():
    """A third cluster with one agency's table, and its agent's file, never started."""
    made = Region(agencies=["dinsos"])
    try:
        made.create_servers()
        made.configure()
        yield made
    finally:
        made.end()


def prepare(region):
    return region.run.call([region.run.program("selaras-agent"), "--prepare", "--apply", region.dinsos.file], check=False)


def test_a_table_without_primary_key_is_refused_before_anything_breaks(other):
    """Published without a key, the agency's own UPDATE would fail."""
    other.dinsos.query("ALTER TABLE penerima_bantuan DROP CONSTRAINT penerima_bantuan_pkey")
    other.dinsos.query("INSERT INTO penerima_bantuan (nik, nama) VALUES ('6402060101900001', 'Tanpa Kunci')")
    status, output, errors = prepare(other)
    assert status != 0
    says(output + errors, "penerima_bantuan", "nik", "UNIQUE")
    other.dinsos.query("UPDATE penerima_bantuan SET telepon = '0811'")


def test_a_deferrable_key_is_refused(other):
    other.dinsos.query("ALTER TABLE penerima_bantuan DROP CONSTRAINT penerima_bantuan_pkey,"
                       " ADD PRIMARY KEY (nik) DEFERRABLE INITIALLY DEFERRED")
    status, output, errors = prepare(other)
    assert status != 0
    says(output + errors, "penerima_bantuan", "nik")


@pytest.mark.parametrize("change, words", [
    ("ALTER PUBLICATION selaras SET TABLE selaras.fence, penerima_bantuan (nik, nama, telepon)", ["column list", "penerima_bantuan"]),
    ("ALTER PUBLICATION selaras SET TABLE selaras.fence, penerima_bantuan WHERE (berhak = 'Y')", ["row filter", "penerima_bantuan"]),
    ("ALTER TABLE penerima_bantuan DROP COLUMN telepon, ADD telepon text GENERATED ALWAYS AS (nik) STORED", ["telepon", "itself"]),
    ("ALTER TABLE penerima_bantuan REPLICA IDENTITY DEFAULT", ["REPLICA IDENTITY FULL"]),
    ("ALTER PUBLICATION selaras SET (publish = 'insert, update, delete')", ["publication selaras leaves out"]),
    ("SELECT pg_replication_origin_drop('selaras_dinsos')", ["origin selaras_dinsos is not there"]),
], ids=["column list", "row filter", "generated column", "replica identity", "no truncate", "no origin"])
def test_what_would_hide_changes_is_refused(other, change, words):
    """A column list breaks the agency's own UPDATE under REPLICA IDENTITY FULL; generated columns are not in the log."""
    assert prepare(other)[0] == 0
    other.dinsos.query(change)
    says(refused(other, "selaras-agent", "--check", other.dinsos.file), *words)


def test_a_table_that_is_not_there_is_named(other):
    other.dinsos.query("ALTER TABLE penerima_bantuan RENAME TO penerima")
    status, output, errors = prepare(other)
    assert status != 0
    says(output + errors, "penerima_bantuan")


def test_prepare_prints_what_it_would_do_and_does_nothing(other):
    _, output, _ = other.run.call([other.run.program("selaras-agent"), "--prepare", other.dinsos.file])
    says(output, "CREATE SCHEMA selaras", "CREATE PUBLICATION selaras", "REPLICA IDENTITY FULL")
    assert other.dinsos.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'selaras'") == "0"
    assert prepare(other)[0] == 0
    assert prepare(other)[0] == 0       # again changes nothing
    assert other.dinsos.value("SELECT relreplident FROM pg_class WHERE relname = 'penerima_bantuan'") == "f"


def test_what_was_not_prepared_is_said(other):
    other.start_broker()
    other.dinsos.enrol()
    says(refused(other, "selaras-agent", other.dinsos.file), "--prepare")


def test_an_unlimited_slot_is_refused(other):
    """A slot that may keep WAL without a limit fills the agency's disk while the broker is away."""
    assert AGENCY_SETTINGS["max_slot_wal_keep_size"] != "-1"
    other.dinsos.query("ALTER SYSTEM SET max_slot_wal_keep_size = -1")
    other.dinsos.query("SELECT pg_reload_conf()")
    other.start_broker()
    other.dinsos.enrol()
    prepare(other)
    says(refused(other, "selaras-agent", other.dinsos.file), "max_slot_wal_keep_size")


def test_a_server_without_logical_decoding_is_refused(other):
    other.dinsos.query("ALTER SYSTEM SET wal_level = replica")
    other.dinsos.postgres.stop()
    other.dinsos.postgres.start()
    other.dinsos.postgres.ready()
    other.start_broker()
    other.dinsos.enrol()
    prepared = prepare(other)
    text = prepared[1] + prepared[2]
    if "wal_level" not in text:
        text = refused(other, "selaras-agent", other.dinsos.file)
    says(text, "wal_level", "logical")


# Values

def test_a_value_that_the_target_refuses_is_parked_and_retried(region):
    """dinsos's column is too short for a name that dinkes has. Others go on, nothing is lost, and once the column is longer the record
    arrives."""
    nik = "6402060101900002"
    name = "Nama " + "Panjang " * 20
    region.dinkes.query(f"UPDATE peserta_jkn SET nama_peserta = '{name}' WHERE nik = '{nik}'")
    wait_for("the record is parked", lambda: region.parked(), 20)
    parked, = region.parked()
    assert "dinsos" in parked and "Panjang" not in parked
    region.dinkes.query(f"UPDATE peserta_jkn SET no_hp = '0844' WHERE nik = '{nik}'")           # queues behind it
    region.dinkes.query("UPDATE peserta_jkn SET no_hp = '0855' WHERE nik = '6402060101900001'")   # another record flows
    wait_for("another record flows", lambda: region.dinsos.value(
        "SELECT telepon FROM penerima_bantuan WHERE nik = '6402060101900001'") == "0855")
    assert region.dinsos.value(f"SELECT nama FROM penerima_bantuan WHERE nik = '{nik}'") == "Dua Warga"
    record = region.value(f"SELECT number FROM selaras.resident WHERE nik = '{nik}'")
    says(region.selaras("parked", "list")[1], "dinsos", record)
    region.dinsos.query("ALTER TABLE penerima_bantuan ALTER COLUMN nama TYPE varchar(400)")
    region.run.call([region.run.program("selaras"), "parked", "retry", record, "--socket", region.dinsos.control])
    region.wait_in_step()
    assert region.parked() == []
    assert region.dinsos.query(f"SELECT nama, telepon FROM penerima_bantuan WHERE nik = '{nik}'") == [(name, "0844")]
    assert region.query(f"SELECT kind, settled FROM selaras.debt WHERE record = {record}") == [("parked", "released")]


def test_a_parked_record_can_be_given_up(region):
    region.dinsos.query("ALTER TABLE penerima_bantuan ADD CONSTRAINT luar CHECK (telepon <> '0899')")
    region.dinkes.query("UPDATE peserta_jkn SET no_hp = '0899' WHERE nik = '6402060101900001'")
    wait_for("the record is parked", lambda: region.parked(), 20)
    record = region.value("SELECT number FROM selaras.resident WHERE nik = '6402060101900001'")
    region.run.call([region.run.program("selaras"), "parked", "close", record, "nomor ini tidak dipakai", "--socket",
                     region.dinsos.control])
    wait_for("it is closed", lambda: region.query(
        f"SELECT settled FROM selaras.debt WHERE record = {record} ORDER BY number DESC LIMIT 1") == [("closed",)])
    assert region.parked() == []
    assert region.value(f"SELECT count(*) FROM selaras.entry WHERE kind = 'closed' AND record = {record}") == "1"
    region.dinsos.query("ALTER TABLE penerima_bantuan DROP CONSTRAINT luar")


def test_a_truncated_table_stops_the_agent(region):
    """TRUNCATE shows no rows: what it removed cannot be said. Better to stop than to guess."""
    region.dinsos.query("CREATE TABLE safe AS SELECT * FROM penerima_bantuan; TRUNCATE penerima_bantuan")
    status = region.dinsos.agent.wait(20)
    assert status != 0
    says(region.dinsos.agent.text(), "penerima_bantuan")
    assert region.value("SELECT count(*) FROM selaras.resident WHERE exists") == "2"


def test_servers_of_two_runs_do_not_meet(region):
    """Side by side: another run's clusters have other folders and another port."""
    with Region(agencies=[]) as beside:
        assert beside.run.folder != region.run.folder and beside.run.port != region.run.port
        server = Postgres(beside.run, "x")
        assert server.folder.startswith(beside.run.folder)
