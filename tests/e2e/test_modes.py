"""Modes: an agency that joins observes, and nothing is written and nothing takes effect anywhere; one that publishes is heard and never
fed; and of one agency's tables each may be in another mode. What `selaras preview` counts is what then comes true."""

import json

import pytest

from cluster import wait_for
from conftest import Sample
from copies import COMMON, HEALTH, TRANSLATED

GROUND = ("--ground", "SK 440/2026")


def set_mode(region, agency, mode, *options):
    return region.selaras("agency", "mode", agency, mode, *GROUND, *options)


def table_of(agency):
    return agency.query(f"SELECT * FROM {agency.table} ORDER BY 1")


def quoted(words):
    return ", ".join(f"'{word}'" for word in words)


def canonical(region):
    return region.query("SELECT * FROM selaras.resident ORDER BY number")


def passed(region, agency):
    """Until the broker has committed what the agency has done until now."""
    mark = agency.value("SELECT pg_current_wal_insert_lsn() - '0/0'")
    wait_for(f"{agency.name} is read", lambda: region.streams_read({agency.name: mark}), 30)


@pytest.fixture(scope="module")
def sample():
    """dinsos is in step, and dinkes joins as any agency does."""
    made = Sample(200, seed=23)
    region = made.region
    try:
        region.create_sample(made.people)
        region.configure(fence_interval="250ms")
        region.start_broker()
        for agency in region.agencies.values():
            region.enrol(agency.name, agency.key, mode="full" if agency.name == "dinsos" else None)
            agency.prepare()
        region.dinsos.start()
        yield made
    finally:
        region.end()


def test_joining_in_mode_observe_writes_nothing_anywhere(sample):
    region = sample.region
    before = table_of(region.dinsos), table_of(region.dinkes), canonical(region), \
        region.query("SELECT * FROM selaras.link ORDER BY 1, 2, 3"), region.value("SELECT count(*) FROM selaras.entry WHERE record > 0")
    region.dinkes.start()
    person = sample.pick()
    region.dinkes.query(f"UPDATE peserta_jkn SET no_hp = '0800' WHERE btrim(nik::text) = '{person.nik}'")
    region.dinkes.query("INSERT INTO peserta_jkn (nik, nama_peserta) VALUES ('6402061111110001', 'Baru')")
    passed(region, region.dinkes)
    region.dinkes.query("DELETE FROM peserta_jkn WHERE btrim(nik::text) = '6402061111110001'")
    passed(region, region.dinkes)
    region.broker.kill()
    region.start_broker()
    wait_for("dinkes is back", lambda: {row["name"]: row["link"] for row in json.loads(
        region.selaras("status", "--json", check=False)[1])["agencies"]}["dinkes"] == "up", 30)
    after = table_of(region.dinsos), table_of(region.dinkes), canonical(region), \
        region.query("SELECT * FROM selaras.link ORDER BY 1, 2, 3"), region.value("SELECT count(*) FROM selaras.entry WHERE record > 0")
    assert before[0] == after[0] and before[2:] == after[2:]
    changed = [(old, new) for old, new in zip(before[1], after[1]) if old != new]
    assert len(before[1]) == len(after[1]) and len(changed) == 1     # its own people's doing
    assert region.value("SELECT count(*) FROM selaras.observed") == str(len(after[1]))
    status = region.selaras("status", check=False)[1]
    assert "dinkes observes" in status


def previewed(region, agency, *options):
    return json.loads(region.selaras("preview", agency, "--json", "--samples", "5", *options)[1])


def by_record(rows):
    return {row[0]: dict(zip(FIELDS, row[1:])) for row in rows}


FIELDS = COMMON + HEALTH


def at_dinkes(region):
    """What each of its rows says of the catalog's fields, by its own key."""
    return by_record(region.dinkes.query(
        f"SELECT id, {', '.join(FIELDS)} FROM ({TRANSLATED['dinkes'].replace('SELECT ', 'SELECT id, ', 1)}) AS t"))


def agreed(region):
    return by_record(region.query(f"SELECT number, {', '.join(field + '::text' for field in FIELDS)} FROM selaras.resident WHERE exists"))


def differences(before, after):
    """By field: how many were empty and are filled, and how many are another value, of what is on both sides."""
    filled, changed = dict.fromkeys(FIELDS, 0), dict.fromkeys(FIELDS, 0)
    for key in before.keys() & after.keys():
        for field in FIELDS:
            old, new = before[key][field], after[key][field]
            filled[field] += old is None and new is not None
            changed[field] += old is not None and old != new
    return filled, changed


def test_what_preview_counts_comes_true(sample):
    region = sample.region
    people = [sample.pick().nik for _ in range(6)]
    dinkes = region.dinkes
    # What a table is like: no telephone, another household size, a wrong sex, a stranger.
    dinkes.query(f"UPDATE peserta_jkn SET alamat_lengkap = NULL WHERE btrim(nik::text) IN ({quoted(people[:3])})")
    dinkes.query(f"UPDATE peserta_jkn SET nama_peserta = 'Orang Lain' WHERE btrim(nik::text) = '{people[3]}'")
    dinkes.query(f"UPDATE peserta_jkn SET berhak_pbi = NOT coalesce(berhak_pbi, false) WHERE btrim(nik::text) = '{people[4]}'")
    dinkes.query("INSERT INTO peserta_jkn (nik, nama_peserta) VALUES ('6402061111110003', 'Orang Baru')")
    region.dinsos.query(f"DELETE FROM penerima_bantuan WHERE nik = '{people[5]}'")
    passed(region, dinkes)
    passed(region, region.dinsos)
    told = previewed(region, "dinkes")
    head = region.value("SELECT head FROM selaras.state")
    rows = {row["what"]: row["rows"] for row in told["rows"] if row["type"] == "resident"}
    fields = {field["field"]: field for field in told["fields"] if field["type"] == "resident"}
    theirs, ours = at_dinkes(region), agreed(region)
    text = region.selaras("preview", "dinkes")[1]
    assert "OVERRULED THERE" in text and "Orang Lain" not in text and people[0] not in json.dumps(told)

    set_mode(region, "dinkes", "full")
    assert region.value("SELECT count(*) FROM selaras.observed") == "0"
    wait_for("dinkes is loaded", lambda: region.value("SELECT state FROM selaras.agency WHERE name = 'dinkes'") == "active", 30)
    wait_for("dinkes has applied what it is fed", lambda: not [line for line in region.backlog() if line.startswith("dinkes")], 30)

    verdicts = {(field, verdict): int(count) for field, verdict, count in region.query(
        "SELECT f, v, count(*) FROM selaras.entry e, unnest(e.fields, e.verdicts) AS u (f, v) WHERE e.agency = 'dinkes' AND e.type = 'resident'"
        f" AND e.kind = 'change' AND e.operation = 'load' AND e.position > {head} AND e.rules[1] <> 'deleted' GROUP BY 1, 2")}      # of rows that stay
    for field, counts in fields.items():
        def of(*names, name=field):
            return sum(verdicts.get((name, verdict), 0) for verdict in names)
        # A group has one verdict for all of its members, equal ones too; and its empty ones are filled.
        grouped = field in ("village", "address")
        assert counts["held"] == of("held"), field
        if not grouped:
            assert (counts["equal"], counts["overruled"]) == (of("unchanged"), of("lost", "put back")), field
            assert counts["fills"] + counts["changes"] + counts["new"] == of("applied", "won"), field
    assert rows["created"] == verdicts.get(("existence", "applied"), 0) + verdicts.get(("existence", "won"), 0)
    assert rows["held"] == verdicts.get(("existence", "held"), 0)
    assert rows["inserted"] == int(region.value(
        f"SELECT count(*) FROM selaras.entry WHERE agency = 'dinkes' AND type = 'resident' AND kind = 'item' AND operation = 'insert' AND position > {head}"))
    # And what the two tables say of themselves.
    after_theirs, after_ours = at_dinkes(region), agreed(region)
    filled, overruled = differences(theirs, after_theirs)
    fills, changes = differences(ours, after_ours)
    for field in FIELDS:
        counts = fields.get(field, dict.fromkeys(("filled", "overruled", "fills", "changes"), 0))
        assert (filled[field], overruled[field]) == (counts["filled"], counts["overruled"]), field
        assert (fills[field], changes[field]) == (counts["fills"], counts["changes"]), field
    assert len(after_theirs) - len(theirs) == rows["inserted"] - rows["deleted"]
    assert len(after_ours) - len(ours) == rows["created"]
    assert rows["inserted"] > 0 and rows["deleted"] == 1 and rows["created"] > 0 and fields["address"]["filled"] == 3 and fields["eligible"]["overruled"] > 0
    [entry] = region.query("SELECT says FROM selaras.change_log WHERE kind = 'mode' AND agency = 'dinkes'")
    assert "SK 440/2026" in entry[0]


def counts(region, agency):
    return region.query("SELECT a.fed, (SELECT count(*) FROM selaras.entry e WHERE e.agency = a.name AND e.reply IS NOT NULL),"
                        f" (SELECT count(*) FROM selaras.debt d WHERE d.agency = a.id AND d.settled IS NULL) FROM selaras.agency a WHERE name = '{agency}'")[0]


def loaded_anew(region, name, incarnation):
    wait_for(f"{name} is loaded anew", lambda: region.query(
        f"SELECT state, incarnation > {incarnation} FROM selaras.agency WHERE name = '{name}'") == [("active", "t")], 30)


def incarnation(region, name):
    return int(region.value(f"SELECT incarnation FROM selaras.agency WHERE name = '{name}'"))


def test_who_publishes_is_heard_and_never_written_to(sample):
    region, dinkes = sample.region, sample.region.dinkes
    region.wait_in_step()
    before = incarnation(region, "dinkes")
    set_mode(region, "dinkes", "publish")
    loaded_anew(region, "dinkes", before)
    person, other, gone = sample.pick().nik, sample.pick().nik, sample.pick().nik
    fed, rows = counts(region, "dinkes"), table_of(dinkes)
    region.dinsos.query(f"UPDATE penerima_bantuan SET alamat = 'Jl. Tidak Sampai' WHERE nik = '{person}'")
    region.dinsos.query(f"DELETE FROM penerima_bantuan WHERE nik = '{gone}'")
    passed(region, region.dinsos)
    assert table_of(dinkes) == rows
    # Its changes take effect: what it owns, and nothing that is not its to say; and what it may not write is not put back.
    dinkes.query(f"UPDATE peserta_jkn SET iuran = 4242 WHERE btrim(nik::text) = '{other}'")
    dinkes.query(f"UPDATE peserta_jkn SET berhak_pbi = NOT coalesce(berhak_pbi, false), iuran = 4343 WHERE btrim(nik::text) = '{person}'")
    dinkes.query(f"UPDATE peserta_jkn SET iuran = 4444 WHERE btrim(nik::text) = '{gone}'")
    passed(region, dinkes)
    rows = table_of(dinkes)
    assert region.query(f"SELECT premium::int, nik FROM selaras.resident WHERE nik IN ({quoted([person, other])}) ORDER BY 1") \
        == [("4242", other), ("4343", person)]
    region.broker.kill()
    region.start_broker()
    region.dinsos.query(f"UPDATE penerima_bantuan SET alamat = 'Jl. Juga Tidak' WHERE nik = '{other}'")
    passed(region, region.dinsos)
    passed(region, dinkes)
    assert table_of(dinkes) == rows and counts(region, "dinkes") == fed
    before = incarnation(region, "dinkes")
    set_mode(region, "dinkes", "full")
    loaded_anew(region, "dinkes", before)
    region.wait_in_step()
    assert dinkes.value(f"SELECT alamat_lengkap FROM peserta_jkn WHERE btrim(nik::text) = '{person}'") == "Jl. Tidak Sampai"
    assert not region.audit_problems()


def test_one_table_observes_while_the_agency_is_in_mode_full(sample):
    region, dinkes = sample.region, sample.region.dinkes
    before, person = incarnation(region, "dinkes"), sample.pick().nik
    set_mode(region, "dinkes", "observe", "--table", "peserta_jkn")
    loaded_anew(region, "dinkes", before)
    rows, ours = table_of(dinkes), canonical(region)
    region.dinsos.query(f"UPDATE penerima_bantuan SET alamat = 'Jl. Satu Tabel' WHERE nik = '{person}'")
    dinkes.query("UPDATE peserta_jkn SET iuran = 1 WHERE id = (SELECT min(id) FROM peserta_jkn)")
    dinkes.query("UPDATE peserta_jkn SET iuran = (SELECT iuran FROM peserta_jkn ORDER BY id DESC LIMIT 1) WHERE false")
    passed(region, region.dinsos)
    passed(region, dinkes)
    assert [row for row in table_of(dinkes) if row not in rows] == [row for row in table_of(dinkes) if row not in rows][:1]
    assert len([row for row in canonical(region) if row not in ours]) == 1       # of dinsos
    told = previewed(region, "dinkes", "--table", "peserta_jkn")
    assert {row["type"] for row in told["rows"]} == {"resident"}
    assert "peserta_jkn of dinkes is in mode observe" in region.selaras("status", check=False)[1].replace("Table ", "")
    before = incarnation(region, "dinkes")
    set_mode(region, "dinkes", "full", "--table", "peserta_jkn")
    loaded_anew(region, "dinkes", before)
    region.wait_in_step()
    assert dinkes.value(f"SELECT alamat_lengkap FROM peserta_jkn WHERE btrim(nik::text) = '{person}'") == "Jl. Satu Tabel"


@pytest.mark.parametrize("status, arguments, says", [
    (2, ["agency", "mode", "dinkes", "full"], "--ground"),
    (2, ["agency", "mode", "dinkes", "ful", *GROUND], "did you mean full"),
    (1, ["agency", "mode", "dinkes", "full", *GROUND], "in mode full already"),
    (1, ["agency", "mode", "dinkse", "full", *GROUND], "did you mean dinkes"),
    (1, ["agency", "mode", "dinkes", "observe", "--table", "peserta_jnk", *GROUND], "did you mean peserta_jkn"),
    (1, ["preview", "dinkes"], "does not observe"),
    (1, ["preview", "nobody"], "not enrolled"),
])
def test_what_cannot_be_is_refused_with_the_remedy(sample, status, arguments, says):
    done = sample.region.selaras(*arguments, check=False)
    assert done[0] == status and says in done[2], done
