"""What a sysadmin and an auditor see of `selaras`: personal values, who was shown them, statuses, JSON."""

import json

import pytest

from cluster import wait_for
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


SHOWING = [("log",), ("record", "resident", f"nik={NIK}"), ("log", "--record", "resident", f"nik={NIK}"), ("parked", "list")]


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
