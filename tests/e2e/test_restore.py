"""A database that is restored behind Selaras's back: nothing is lost silently, that agency is stopped and the reason said, the others
go on. PostgreSQL itself resumes from a restored copy without a word and drops changes."""

import shutil

import pytest

from cluster import wait_for
from history import (Mark, Place, another_server, base_backup, copy_folder, passes_on, replace_data, settle_as, shut_down,
                     start_server)


@pytest.fixture(scope="module")
def made():
    place = Place()
    try:
        yield place.make()
    finally:
        place.region.end()


@pytest.fixture
def place(made):
    made.put_back()
    yield made
    made.clear()


@pytest.fixture
def dinsos(place):
    return place.region.dinsos


def position(region):
    return region.value("SELECT '0/0'::pg_lsn + lsn::numeric FROM selaras.agency WHERE name = 'dinsos'")


def test_a_snapshot_that_was_written_on_is_found_by_its_fence(place, dinsos):
    """The same system identifier, the same timeline, the slot and the origin still there; and then so much is written that its log
    is ahead of what the broker has: positions alone look sound."""
    region = place.region
    shut_down(dinsos)
    copy_folder(dinsos.postgres.data, f"{dinsos.postgres.folder}/snapshot")
    start_server(dinsos)
    dinsos.start()
    passes_on(region, dinsos, place.pick(), "081200000001")
    shut_down(dinsos)
    mark = Mark(region, dinsos)
    shutil.rmtree(replace_data(dinsos, f"{dinsos.postgres.folder}/snapshot"))
    start_server(dinsos)
    dinsos.query("CREATE TABLE later AS SELECT generate_series(1, 20000) AS n")
    dinsos.query(f"UPDATE penerima_bantuan SET telepon = '081200000002' WHERE nik = '{place.pick().nik}'")
    assert dinsos.value(f"SELECT pg_current_wal_lsn() > '{position(region)}'") == "t"
    assert dinsos.value(f"SELECT confirmed_flush_lsn <= '{position(region)}' FROM pg_replication_slots") == "t"
    dinsos.start(wait=False)
    mark.assert_quarantined("fence row", "restored from a backup")
    mark.assert_others_go_on(place.pick())


def test_a_restored_database_is_loaded_anew_and_loses_nothing(place, dinsos):
    """What it had written itself since the backup stands at the broker and comes back to it, deletions too; so does what others wrote."""
    region = place.region
    backup = base_backup(dinsos, "backup")
    phone, deleted, inserted, theirs, since = (place.pick() for _ in range(5))
    dinsos.query(f"DELETE FROM penerima_bantuan WHERE nik = '{deleted.nik}'")
    dinsos.query(f"DELETE FROM penerima_bantuan WHERE nik = '{inserted.nik}'")
    passes_on(region, dinsos, phone, "081200000010")
    dinsos.query(f"INSERT INTO penerima_bantuan (nik, nama) VALUES ('{inserted.nik}', 'Kembali')")
    passes_on(region, region.dinkes, theirs, "081200000011")
    region.wait_in_step()
    shut_down(dinsos)
    mark = Mark(region, dinsos)
    shutil.rmtree(replace_data(dinsos, backup))
    start_server(dinsos)
    dinsos.start(wait=False)
    mark.assert_quarantined("fence row")
    passes_on(region, region.dinkes, since, "081200000012")
    mark.load_anew()

    def phones(person):
        return {region.value(f"SELECT phone FROM selaras.resident WHERE nik = '{person.nik}'"),
                dinsos.value(f"SELECT telepon FROM penerima_bantuan WHERE nik = '{person.nik}'"),
                region.dinkes.value(f"SELECT no_hp FROM peserta_jkn WHERE nik = '{person.nik}'")}

    assert phones(phone) == {"081200000010"}
    assert phones(theirs) == {"081200000011"}
    assert phones(since) == {"081200000012"}
    assert region.query(f"SELECT 1 FROM selaras.resident WHERE exists AND nik = '{deleted.nik}'") == []
    assert region.value(f"SELECT name FROM selaras.resident WHERE exists AND nik = '{inserted.nik}'") == "Kembali"
    passes_on(region, dinsos, place.pick(), "081200000013")


def test_a_database_that_forked(place, dinsos):
    """Its rows go on past what the broker has seen, but the one that the broker has seen last is another here."""
    region = place.region
    dinsos.stop()
    mark = Mark(region, dinsos)
    seen = region.value("SELECT fence_seq FROM selaras.agency WHERE name = 'dinsos'")
    dinsos.query(f"UPDATE selaras.fence SET token = decode(md5('x'), 'hex') WHERE seq = {seen};"
                 " INSERT INTO selaras.fence (seq, token) SELECT max(seq) + 1, decode(md5('y'), 'hex') FROM selaras.fence")
    dinsos.query(f"UPDATE penerima_bantuan SET telepon = '081200000666' WHERE nik = '{place.pick().nik}'")
    dinsos.start(wait=False)
    mark.assert_quarantined("another fence row", "cloned copy")
    mark.assert_others_go_on(place.pick())


def test_a_base_backup_that_is_started_as_it_is(place, dinsos):
    """Without recovery.signal: no slot, yet the same system identifier and the same timeline."""
    region = place.region
    backup = base_backup(dinsos, "backup")
    passes_on(region, dinsos, place.pick(), "081200000003")
    shut_down(dinsos)
    mark = Mark(region, dinsos)
    shutil.rmtree(replace_data(dinsos, backup))
    start_server(dinsos)
    assert dinsos.value("SELECT count(*) FROM pg_replication_slots") == "0"
    assert dinsos.value("SELECT timeline_id FROM pg_control_checkpoint()") == "1"
    dinsos.start(wait=False)
    mark.assert_quarantined("fence row", "restored from a backup")
    mark.assert_others_go_on(place.pick())


def test_a_recovery_to_a_point_in_time(place, dinsos):
    """A new timeline, that left before the end of what the broker has."""
    region = place.region
    backup = base_backup(dinsos, "backup")
    dinsos.query("SELECT pg_create_restore_point('before')")
    passes_on(region, dinsos, place.pick(), "081200000004")
    shut_down(dinsos)
    mark = Mark(region, dinsos)
    gone = replace_data(dinsos, backup)
    settle_as(dinsos, "recovery.signal", restore_command=f"cp {gone}/pg_wal/%f %p", recovery_target_name="before",
              recovery_target_action="promote")
    start_server(dinsos)
    wait_for("it is promoted", lambda: dinsos.value("SELECT pg_is_in_recovery()") == "f")
    assert dinsos.value("SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)") == "00000002"
    dinsos.start(wait=False)
    mark.assert_quarantined("fence row", "restored from a backup")
    mark.assert_others_go_on(place.pick())
    shutil.rmtree(gone)


def test_a_database_that_is_restored_under_a_running_agent(place, dinsos):
    region = place.region
    backup = base_backup(dinsos, "backup")
    passes_on(region, dinsos, place.pick(), "081200000005")
    dinsos.postgres.stop()
    mark = Mark(region, dinsos)
    shutil.rmtree(replace_data(dinsos, backup))
    start_server(dinsos)
    mark.assert_quarantined("fence row", "restored from a backup")
    mark.assert_others_go_on(place.pick())


def test_a_clone_beside_production_is_turned_away_and_production_goes_on(place, dinsos):
    """A copy of the machine with its slot, its origin and the agent's key, started while the original runs."""
    region = place.region
    shut_down(dinsos)
    copy_folder(dinsos.postgres.data, f"{dinsos.postgres.folder}/clone")
    start_server(dinsos)
    dinsos.start()
    passes_on(region, dinsos, place.pick(), "081200000006")
    server, file = another_server(dinsos, f"{dinsos.postgres.folder}/clone", "clone")
    person = place.pick()
    server.query("dinsos", f"UPDATE penerima_bantuan SET telepon = '081200000666' WHERE nik = '{person.nik}'")
    clone = region.run.start("clone-agent", [region.run.program("selaras-agent"), file])
    assert clone.wait(40) > 0
    assert "older copy" in clone.text()
    assert dinsos.agent.alive()
    assert Mark(region, dinsos).state()[0] == "active"
    passes_on(region, dinsos, place.pick(), "081200000007")
    region.wait_in_step()
    assert region.value(f"SELECT count(*) FROM selaras.resident WHERE phone = '081200000666'") == "0"
    assert "older copy" in region.selaras("status", check=False)[1]
    assert region.audit_problems() == []
