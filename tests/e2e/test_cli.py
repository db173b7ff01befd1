"""What a sysadmin and an auditor see of `selaras`: personal values, who was shown them, statuses, JSON."""

import json
import subprocess

import pytest

from region import Region

NIK = "6402060101900001"
NAME = "Satu Warga Desa"


@pytest.fixture(scope="module")
def region():
    """Both agencies with one resident each, running."""
    made = Region()
    try:
        made.create_servers()
        made.dinsos.query(f"INSERT INTO penerima_bantuan (nik, nama, berhak) VALUES ('{NIK}', '{NAME}', 'Y')")
        made.dinkes.query("INSERT INTO peserta_jkn (nik, nama_peserta) VALUES ('6402060101900002', 'Dua Warga Desa')")
        made.configure(fence_interval="250ms")
        made.start()
        made.wait_in_step()
        yield made
    finally:
        made.end()


def said(region, *arguments):
    status, output, errors = region.selaras(*arguments, check=False)
    return status, output, errors


def reveals(region):
    return region.query("SELECT type, record, position FROM selaras.entry WHERE kind = 'reveal' ORDER BY position")


SHOWING = [("log",), ("record", "resident", f"nik={NIK}"), ("explain", "resident", f"nik={NIK}"), ("log", "--record", "resident", f"nik={NIK}"), ("parked", "list")]


@pytest.mark.parametrize("command", SHOWING, ids=lambda words: " ".join(words[:2]))
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["table", "json"])
def test_personal_values_are_masked(region, command, form):
    status, output, errors = said(region, *command, *form)
    assert status == 0, errors
    assert NIK not in output and NAME not in output
    if form:
        json.loads(output)


def test_who_is_shown_personal_values_stands_in_the_ledger_first(region):
    before = reveals(region)
    status, output, errors = said(region, "record", "resident", f"nik={NIK}", "--reveal")
    assert status == 0, errors
    assert NIK in output and NAME in output
    after = reveals(region)
    number = region.value(f"SELECT number FROM selaras.resident WHERE nik = '{NIK}'")
    assert [row[:2] for row in after[len(before):]] == [("resident", number)]
    _, output, _ = said(region, "log", "--kind", "reveal", "--json")
    entry = json.loads(output)["log"][-1]
    assert entry["record"] == int(number)
    assert entry["says"].startswith("record, values and history by ")
    assert NIK not in output


def test_a_revealed_log_says_which_entries(region):
    before = reveals(region)
    status, output, errors = said(region, "log", "--agency", "dinsos", "--kind", "change", "--reveal", "--json")
    assert status == 0, errors
    assert NIK in output
    assert [row[:2] for row in reveals(region)[len(before):]] == [("", "0")]
    _, output, _ = said(region, "log", "--kind", "reveal", "--limit", "1", "--json")
    says = json.loads(output)["log"][0]["says"]
    assert "of dinsos, kind change" in says and NIK not in says


def test_what_shows_nothing_leaves_nothing(region):
    before = reveals(region)
    assert said(region, "log", "--kind", "closed", "--reveal")[0] == 0
    assert said(region, "record", "resident", "nik=6402060101909999", "--reveal")[0] == 1
    assert reveals(region) == before


def test_agencies_stay_in_step_behind_a_reveal(region):
    assert said(region, "record", "resident", f"nik={NIK}", "--reveal")[0] == 0
    region.dinsos.query(f"UPDATE penerima_bantuan SET telepon = '081234' WHERE nik = '{NIK}'")
    region.wait_in_step()
    assert region.audit_problems() == []


def test_while_the_broker_is_away_nothing_is_revealed(region):
    region.broker.stop()
    try:
        for command in (("record", "resident", f"nik={NIK}"), ("log",)):
            status, output, errors = said(region, *command, "--reveal")
            assert status == 1
            assert output == ""
            assert "written down" in errors and "systemctl start" in errors and NIK not in errors
            assert said(region, *command)[0] == 0
    finally:
        region.start_broker()
    region.wait_in_step()


def test_values_do_not_steer_the_terminal(region):
    """A name with escape sequences, as any clerk's application may store it."""
    region.dinsos.query("INSERT INTO penerima_bantuan (nik, nama, alamat, berhak)"
                        " VALUES ('6402060101900003', E'\\x1b]0;own\\x07\\x1b[31mMerah\\x1b[2J', E'a\\tb\\nc', 'Y')")
    region.wait_in_step()
    for command in (("log",), ("record", "resident", "nik=6402060101900003")):
        for form in ((), ("--json",)):
            _, output, _ = said(region, *command, "--reveal", *form)
            assert "Merah" in output
            assert not any(ord(letter) < 32 and letter != "\n" or 127 <= ord(letter) < 160 for letter in output)


@pytest.mark.parametrize("status, arguments", [
    (2, ["nothing"]), (2, ["log", "--nothing"]), (2, ["log", "--since"]), (2, ["log", "--kind", "nothing"]), (2, ["log", "--limit", "0"]),
    (2, ["log", "--since", "someday"]), (2, ["record", "resident"]), (2, ["key"]), (2, ["key", "enrol", "dinsos", "00"]), (2, ["parked", "retry", "1"]),
    (1, ["record", "nothing", "nik=1"]), (1, ["record", "resident", "nik=6402060101909999"]), (1, ["record", "resident", "999999"]), (2, ["explain", "resident"]),
    (1, ["explain", "resident", f"nik={NIK}", "names"]), (0, ["explain", "resident", f"nik={NIK}", "existence"]),
    (1, ["log", "--agency", "nobody"]), (1, ["status", "--socket", "/nonexistent"]), (1, ["log", "--database", "host=/nonexistent"]),
    (1, ["key", "show", "/nonexistent"]), (1, ["check", "--broker", "/nonexistent"]), (0, ["log", "--help"]), (0, ["--help"]),
    (0, ["log", "--kind", "reveal", "--until", "yesterday"]), (0, ["status"]), (0, ["key", "list"]), (0, ["parked", "list"]),
], ids=lambda value: " ".join(value) if isinstance(value, list) else str(value))
def test_statuses_are_as_the_manual_says(region, status, arguments):
    found, output, errors = said(region, *arguments)
    assert found == status, output + errors
    assert bool(errors) == (status != 0) or arguments[0] == "check"


@pytest.mark.parametrize("arguments", [["status"], ["log", "--limit", "5"], ["record", "resident", f"nik={NIK}"], ["explain", "resident", f"nik={NIK}"],
                                       ["key", "list"], ["parked", "list"],
                                       ["check", "--broker", "broker.zpl"], ["log", "--kind", "closed"]], ids=lambda words: " ".join(words[:2]))
def test_json_is_one_object(region, arguments):
    arguments = [f"{region.run.folder}/{word}" if word.endswith(".zpl") else word for word in arguments]
    status, output, errors = said(region, *arguments, "--json")
    assert (status, errors) == (0, "")
    assert isinstance(json.loads(output), dict)


def checked(region, agency, *options, catalog="catalog.zpl"):
    return said(region, "check", "mapping", f"{region.run.folder}/{agency}.zpl", "--catalog", f"{region.run.folder}/{catalog}", *options)


@pytest.fixture
def stopped(region):
    """A mapping is checked before its agent starts: the agent holds what the check would hold."""
    for agency in (region.dinsos, region.dinkes):
        agency.stop()
    yield
    for agency in (region.dinsos, region.dinkes):
        agency.start()


@pytest.mark.usefixtures("stopped")
def test_a_mapping_is_shown_with_a_row_both_ways(region):
    status, output, errors = checked(region, "dinsos", "--json")
    assert (status, errors) == (0, "")
    shown = json.loads(output)
    rows = {row["column"]: row for row in shown["examples"]}
    assert shown["result"] == "ok"
    assert (rows["berhak"]["here"], rows["berhak"]["field"], rows["berhak"]["value"], rows["berhak"]["back"]) == ("Y", "eligible", "true", "Y")
    assert rows["nik"]["masked"] and rows["nama"]["masked"] and not rows["berhak"]["masked"]
    assert NIK not in output and NAME not in output
    _, output, _ = checked(region, "dinsos")
    assert "WRITTEN BACK" in output and NIK not in output and NAME not in output
    _, output, _ = checked(region, "dinsos", "--reveal", "--json")
    rows = {row["column"]: row for row in json.loads(output)["examples"]}
    assert rows["nik"]["here"] in output and len(rows["nik"]["back"]) == 16 and rows["nik"]["back"].isdigit()


@pytest.mark.usefixtures("stopped")
def test_a_mapping_is_checked_against_the_live_table(region):
    """A premium of four digits behind the point fits the catalog and the file, but not the column."""
    with open(f"{region.run.folder}/catalog.zpl", encoding="utf-8") as file:
        region.run.write("finer.zpl", file.read().replace("scale = 2", "scale = 4"))
    assert checked(region, "dinkes", "--offline", catalog="finer.zpl")[0] == 0
    status, _, errors = checked(region, "dinkes", catalog="finer.zpl")
    assert status == 1 and 'column "iuran" keeps 2 digits behind the point, the catalog has 4' in errors
    assert checked(region, "dinkes")[0] == 0


def test_what_a_mapping_leaves_out_is_said(region):
    with open(f"{region.run.folder}/catalog.zpl", encoding="utf-8") as file:
        region.run.write("more.zpl", file.read().replace("            sex\n", "            sex\n                required = yes\n"))
    with open(f"{region.run.folder}/dinkes.zpl", encoding="utf-8") as file:
        text = file.read()
    start = text.index("            sex\n")
    end = text.index("            village\n")
    region.run.write("less.zpl", text[:start] + text[end:])
    status, output, errors = checked(region, "less", "--offline", catalog="more.zpl")
    assert status == 0 and "the catalog requires sex" in output, errors


def test_a_full_disk_is_no_success(region):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([region.run.program("selaras"), "key", "list", "--socket", region.control], stdout=full, stderr=subprocess.PIPE, check=False,
                              text=True)
    assert done.returncode == 1 and "No space left" in done.stderr
