"""Modes: an agency that joins observes, and nothing is written and nothing takes effect anywhere; one that publishes is heard and never
fed; and of one agency's tables each may be in another mode. What `selaras preview` counts is what then comes true."""

import json

import pytest

from cluster import wait_for
from conftest import Sample
from region import Region

GROUND = ("--ground", "SK 440/2026")


def set_mode(region, agency, mode, *options):
    return region.selaras("agency", "mode", agency, mode, *GROUND, *options)


def table_of(agency):
    return agency.query(f"SELECT * FROM {agency.table} ORDER BY 1")


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
