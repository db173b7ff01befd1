"""Two agencies as two databases of one PostgreSQL server: slots and origins are the server's, not the database's."""

import pytest

import residents
from cluster import wait_for
from region import Region


@pytest.fixture(scope="module")
def shared():
    people = residents.generate(60, 11)
    region = Region()
    region.dinkes.postgres = region.dinsos.postgres
    try:
        region.create_servers()
        folder = region.run.make_folder(f"{region.run.folder}/residents")
        residents.write(people, folder)
        for name, agency in region.agencies.items():
            agency.postgres.script(name, f"{folder}/{name}.copy.sql")
        region.configure(fence_interval="250ms")
        region.start()
        region.wait_in_step()
        region.unused = [person for person in people if person.at_dinsos and person.at_dinkes and not person.corrected_nik]
        yield region
    finally:
        region.end()


def both_ways(region):
    there, back = region.unused.pop(), region.unused.pop()
    region.dinsos.query(f"UPDATE penerima_bantuan SET alamat = 'Jalan Bersama' WHERE nik = '{there.nik}'")
    region.dinkes.query(f"UPDATE peserta_jkn SET alamat_lengkap = 'Jalan Kembali' WHERE nik = '{back.nik}'")
    region.wait_in_step()
    assert region.dinkes.value(f"SELECT alamat_lengkap FROM peserta_jkn WHERE nik = '{there.nik}'") == "Jalan Bersama"
    assert region.dinsos.value(f"SELECT alamat FROM penerima_bantuan WHERE nik = '{back.nik}'") == "Jalan Kembali"


def test_two_agencies_of_one_server_are_kept_in_step(shared):
    both_ways(shared)
    for agency in shared.agencies.values():
        agency.kill()
        agency.start()
    both_ways(shared)
    assert shared.dinsos.value("SELECT count(*) FROM pg_replication_slots WHERE active") == "2"
    assert shared.audit_problems() == []


def test_a_copy_of_a_database_in_its_server_is_refused_and_the_agency_goes_on(shared):
    """Made by CREATE DATABASE ... TEMPLATE, with all of schema selaras: before the agency itself is back, and beside it."""
    dinkes, run = shared.dinkes, shared.run
    dinkes.stop()
    wait_for("it is copied", lambda: dinkes.postgres.query("postgres", "CREATE DATABASE salinan TEMPLATE dinkes", check=False) is not None)
    with open(dinkes.file, encoding="utf-8") as file:
        text = file.read().replace(dinkes.postgres.dsn("dinkes"), dinkes.postgres.dsn("salinan"))
    copy = run.write("salinan.zpl", text.replace(dinkes.control, f"{run.folder}/salinan.sock"))
    for beside in (False, True):
        if beside:
            dinkes.start()
        agent = run.start("agent-salinan", [run.program("selaras-agent"), copy])
        assert agent.wait(20) > 0
        said = " ".join(agent.text().split())
        assert "replication slot selaras_dinkes is of database dinkes of the same server" in said and "agent/database" in said
        assert shared.value("SELECT state FROM selaras.agency WHERE name = 'dinkes'") == "active"
    both_ways(shared)
