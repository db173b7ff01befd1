"""What the broker's own database refuses: only the agency that sent it is stopped, and it goes on when an operator says so."""

import json

from cluster import wait_for


def agency_of(region, name):
    status = json.loads(region.selaras("status", "--json", check=False)[1])
    return next(row for row in status["agencies"] if row["name"] == name)


def premium(region, person):
    return region.value(f"SELECT premium FROM selaras.resident WHERE nik = '{person.nik}'")


def test_a_transaction_that_a_constraint_refuses_stops_its_agency_alone(sample):
    region = sample.region
    dinsos, dinkes = region.agencies["dinsos"], region.agencies["dinkes"]
    poison, beside, before, after, other = (sample.pick() for _ in range(5))
    # An operator's own rule on a canonical table, which only this person breaks.
    region.query(f"ALTER TABLE selaras.resident ADD CONSTRAINT no_riches CHECK (nik <> '{poison.nik}' OR premium < 990000) NOT VALID")

    dinkes.query(f"UPDATE peserta_jkn SET iuran = 51000 WHERE nik = '{before.nik}'")
    dinkes.query(f"UPDATE peserta_jkn SET iuran = CASE WHEN nik = '{poison.nik}' THEN 999000 ELSE 52000 END "
                 f"WHERE nik IN ('{poison.nik}', '{beside.nik}')")
    dinkes.query(f"UPDATE peserta_jkn SET iuran = 53000 WHERE nik = '{after.nik}'")
    dinsos.query(f"UPDATE penerima_bantuan SET telepon = '081200000077' WHERE nik = '{other.nik}'")

    wait_for("dinkes is quarantined", lambda: agency_of(region, "dinkes")["state"] == "quarantined", 30)
    row = agency_of(region, "dinkes")
    assert row["quarantine"] == "refused" and "23514" in row["reason"] and "no_riches" in row["reason"], row
    assert "(resident)" in row["reason"] and "transaction at " in row["reason"], row
    assert poison.nik not in row["reason"] and "999000" not in row["reason"], row
    assert premium(region, before) == "51000.00"        # what came before it took effect,
    assert premium(region, beside) != "52000.00"        # nothing of its own transaction did,
    assert premium(region, after) != "53000.00"         # and what follows waits
    assert region.value("SELECT count(*) FROM selaras.entry WHERE kind = 'quarantine' AND agency = 'dinkes'") == "1"
    status, shown, _ = region.selaras("status", check=False)
    assert status == 1 and "selaras agency resume dinkes" in shown.replace("\n", " "), shown

    # dinsos goes on, and the broker was never down.
    wait_for("dinsos goes on", lambda: region.value(
        f"SELECT phone FROM selaras.resident WHERE nik = '{other.nik}'") == "081200000077", 30)
    assert agency_of(region, "dinsos")["state"] == "active"
    assert region.broker.alive() and dinkes.agent.alive()

    # Too early: it is stopped at the same place again.
    status, _, errors = region.selaras("agency", "resume", "dinkes", "--ground", "perhaps", check=False)
    assert status == 0, errors
    wait_for("dinkes is quarantined again", lambda: region.value(
        "SELECT count(*) FROM selaras.entry WHERE kind = 'quarantine' AND agency = 'dinkes'") == "2", 90)
    assert premium(region, after) != "53000.00"

    region.query("ALTER TABLE selaras.resident DROP CONSTRAINT no_riches")
    assert region.selaras("agency", "resume", "dinkes", check=False)[0] == 2         # not without a ground
    assert region.selaras("agency", "resume", "dinsos", "--ground", "x", check=False)[0] == 1    # it is not stopped
    region.selaras("agency", "resume", "dinkes", "--ground", "constraint removed, SK 12/2026")
    wait_for("what waited takes effect", lambda: premium(region, after) == "53000.00", 90)
    assert premium(region, beside) == "52000.00" and premium(region, poison) == "999000.00"
    assert agency_of(region, "dinkes")["state"] == "active" and agency_of(region, "dinkes")["reason"] in (None, "")
    refers = region.value("SELECT r.refers = q.position FROM selaras.entry r, selaras.entry q WHERE r.kind = 'resumed' AND q.kind = 'quarantine'"
                          " AND q.agency = r.agency ORDER BY r.position DESC, q.position DESC LIMIT 1")
    assert refers == "t"
    region.wait_in_step()
