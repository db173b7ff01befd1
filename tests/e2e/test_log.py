"""`selaras log` of a ledger that fits into no memory: streamed as table and as JSON, by limit and by time, and through a pager."""

import json
import os
import pty
import select
import signal
import subprocess

import pytest

from cluster import wait_for
from region import Region

ENTRIES = 40_000        # two minutes apart, the last on 2026-02-25; each changes two fields
MEMORY = 16 << 20       # of `selaras`, beside its libraries' text: far below what the entries take


@pytest.fixture(scope="module")
def region():
    """A broker's database with a long ledger, written by hand; the broker itself is gone."""
    made = Region(agencies=[])
    try:
        made.create_servers()
        made.configure()
        made.start_broker()
        wait_for("the ledger is open", lambda: int(made.value("SELECT head FROM selaras.state")) > 0)
        made.broker.stop()
        first = int(made.value("SELECT head FROM selaras.state"))
        made.query(f"""
            INSERT INTO selaras.entry (position, time, kind, agency, type, record, other, refers, operation, fields, verdicts, rules,
                                       catalog, boundary, leaf, body)
            SELECT {first} + i, timestamptz '2026-01-01 00:00Z' + i * interval '2 minutes', 'change', CASE i % 2 WHEN 0 THEN 'dinsos' ELSE 'dinkes' END,
                   'resident', 1 + i % 5000, 0, 0, 'update', '{{phone,eligible}}', CASE i % 15000 WHEN 0 THEN '{{lost,lost}}'::text[] ELSE '{{applied,unchanged}}' END,
                   '{{owner,owner}}', 1, true, '\\x00', decode(repeat('ab', 500), 'hex') FROM generate_series(1, {ENTRIES}) i;
            UPDATE selaras.state SET head = {first + ENTRIES}; ANALYZE selaras.entry""")
        made.first = first & ((1 << 48) - 1)
        yield made
    finally:
        made.end()


def log(region, *options):
    status, output, errors = region.selaras("log", *options, check=False)
    assert (status, errors) == (0, ""), errors
    return output


def bounded(region, output, *options):
    """What `selaras log` prints, to a file, without ever having more than so much memory."""
    with open(output, "w", encoding="utf-8") as file:
        done = subprocess.run(["prlimit", f"--data={MEMORY}", region.run.program("selaras"), "log", *options], stdout=file,
                              stderr=subprocess.PIPE, env=region.run.environment, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def sequences(rows):
    """Of the entries, each once, however many fields it has."""
    return list(dict.fromkeys(row["sequence"] for row in rows))


@pytest.mark.parametrize("form", ["--json", "--json-lines"])
def test_any_number_of_entries_fits_into_little_memory(region, tmp_path, form):
    bounded(region, f"{tmp_path}/log", "--all", "--kind", "change", form)
    with open(f"{tmp_path}/log", encoding="utf-8") as file:
        rows = json.load(file)["log"] if form == "--json" else [json.loads(line) for line in file]
    assert sequences(rows) == list(range(region.first + 1, region.first + ENTRIES + 1))
    assert [row["field"] for row in rows] == ["phone", "eligible"] * ENTRIES


def test_a_table_goes_on_under_one_heading(region, tmp_path):
    bounded(region, f"{tmp_path}/log", "--all", "--agency", "dinkes")
    with open(f"{tmp_path}/log", encoding="utf-8") as file:
        lines = file.read().splitlines()
    assert lines[0].split()[:2] == ["ENTRY", "TIME"] and not any("ENTRY" in line for line in lines[1:])
    assert len(lines) == 1 + ENTRIES
    places = [line.index("phone" if "phone" in line else "eligible") for line in lines[1:]]
    assert places[0] == lines[0].index("FIELD") and places == sorted(places) and len(set(places)) <= 2      # wider where numbers are longer


def test_the_newest_are_shown_unless_all_are_wanted(region):
    shown = json.loads(log(region, "--json"))
    assert sequences(shown["log"]) == list(range(region.first + ENTRIES - 99, region.first + ENTRIES + 1))
    assert "--all" in shown["notes"][0]
    shown = json.loads(log(region, "--json", "--limit", "2500", "--agency", "dinsos"))
    assert len(sequences(shown["log"])) == 2500 and {row["agency"] for row in shown["log"]} == {"dinsos"}
    assert "notes" not in json.loads(log(region, "--json", "--verdict", "lost"))
    assert "older ones match" in log(region, "--limit", "1")


def test_a_span_of_time_is_found(region):
    """Entry i is of minute 2 i; the minute of --until counts."""
    shown = json.loads(log(region, "--json", "--all", "--since", "2026-02-01T00:00Z", "--until", "2026-02-02T11:58Z"))
    before = 31 * 24 * 30
    assert sequences(shown["log"]) == list(range(region.first + before, region.first + before + 36 * 30))
    assert json.loads(log(region, "--json", "--since", "2029-01-01"))["log"] == []
    assert len(sequences(json.loads(log(region, "--json", "--verdict", "lost", "--since", "2026-01-01", "--until", "2028-12-31"))["log"])) == 2


@pytest.mark.parametrize("options, status", [(["--all", "--limit", "5"], 2), (["--json", "--json-lines"], 2)])
def test_what_cannot_be_meant_together(region, options, status):
    assert region.selaras("log", *options, check=False)[0] == status


def on_a_terminal(region, *options, **environment):
    """What arrives at a terminal, and the status."""
    terminal, end = pty.openpty()
    with subprocess.Popen([region.run.program("selaras"), "log", *options], stdin=end, stdout=end, stderr=end,
                          env={**region.run.environment, **environment}, start_new_session=True) as process:
        os.close(end)
        seen = b""
        try:
            while select.select([terminal], [], [], 20)[0] and (piece := os.read(terminal, 65536)):
                seen += piece
        except OSError:     # the terminal's last user is gone
            pass
        os.close(terminal)
        try:
            return process.wait(5), seen.decode()
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, seen.decode()


MARK = "sed s/^/paged:/"


@pytest.mark.parametrize("environment, options, paged", [
    ({"SELARAS_PAGER": MARK, "PAGER": "false"}, [], True), ({"PAGER": MARK}, [], True), ({"SELARAS_PAGER": "", "PAGER": MARK}, [], False),
    ({"SELARAS_PAGER": MARK}, ["--no-pager"], False), ({"SELARAS_PAGER": MARK}, ["--json"], False),
    ({"SELARAS_PAGER": MARK, "SUDO_UID": "1000", "LESS": "-FX", "TERM": "xterm"}, [], False)])
def test_a_terminal_has_a_pager(region, environment, options, paged):
    status, seen = on_a_terminal(region, "--limit", "1", *options, **environment)
    assert status == 0
    assert ("paged:" in seen) == paged and "eligible" in seen


def test_leaving_the_pager_ends_it_all(region):
    status, seen = on_a_terminal(region, "--all", SELARAS_PAGER="head -n 2")
    assert status == 0 and len(seen.splitlines()) == 2


def test_a_pager_that_is_not_there_is_named(region):
    status, seen = on_a_terminal(region, "--all", SELARAS_PAGER="no-such-pager")
    assert status == 1 and 'the pager "no-such-pager" cannot be run' in seen
