"""An agency's PostgreSQL that fails over to another server. Logical slots are not on standbys (they are from 17 on), so that most failovers end
in a person's decision; what the standby lacked must never be taken for what there was."""

import shutil

import pytest

from cluster import wait_for
from history import Mark, base_backup, copy_folder, passes_on, promote, replace_data, set_interval, shut_down, start_server


@pytest.fixture
def dinsos(place):
    """Its next fence row is long in coming: the log alone must tell."""
    place.region.dinsos.stop()
    set_interval(place.region.dinsos, "5min")
    place.region.dinsos.start()
    passes_on(place.region, place.region.dinsos, place.pick(), "081200000001")
    return place.region.dinsos


def standby(dinsos):
    """A streaming standby's folder, which has everything that was written until now."""
    folder = base_backup(dinsos, "standby")
    server = dinsos.postgres
    dinsos.run.own_file(f"{folder}/standby.signal")
    second = type(server)(dinsos.run, "second", server.settings)
    dinsos.run.make_folder(second.folder)
    second.data = folder
    with open(f"{folder}/postgresql.auto.conf", "a", encoding="utf-8") as file:
        file.write(f"unix_socket_directories = '{second.folder}'\n"
                   f"primary_conninfo = 'host={server.folder} user=postgres application_name=second'\n")
    second.start()
    second.ready()
    wait_for("the standby has everything", lambda: dinsos.value(
        "SELECT coalesce(bool_and(replay_lsn >= pg_current_wal_lsn()), false) FROM pg_stat_replication WHERE application_name = 'second'") == "t")
    return second


def fail_over(dinsos, second, frozen=False):
    """The primary is gone and the standby takes its place. `frozen`: the checkpoint after the promotion has not come yet, which may take
    minutes; until then the control file names the old timeline. Returns what ends that."""
    second.stop()
    with open(f"{second.data}/postgresql.auto.conf", "a", encoding="utf-8") as file:
        file.write(f"unix_socket_directories = '{dinsos.postgres.folder}'\nprimary_conninfo = ''\n")
    shutil.rmtree(replace_data(dinsos, second.data))
    thaw = promote(dinsos, frozen)
    assert dinsos.value("SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)") == "00000002"
    return thaw


def test_a_standby_that_has_everything_lacks_only_the_slot(place, dinsos):
    second = standby(dinsos)
    shut_down(dinsos)
    mark = Mark(place.region, dinsos)
    fail_over(dinsos, second)
    dinsos.start(wait=False)
    mark.assert_quarantined("replication slot selaras_dinsos is gone")
    mark.assert_others_go_on(place.pick())


@pytest.mark.parametrize("written_on", [True, False], ids=["written on", "as it was"])
def test_a_standby_that_lost_the_tail(place, dinsos, written_on):
    """Its fence row is the newest that the broker has. Its log has grown past where the broker is, or ends before."""
    region = place.region
    second = standby(dinsos)
    second.stop()
    dinsos.query("SELECT pg_logical_emit_message(false, 'x', repeat('x', 3000000))")      # more than a promotion writes
    passes_on(region, dinsos, place.pick(), "081200000002")
    shut_down(dinsos)
    mark = Mark(region, dinsos)
    second.start()
    second.ready()
    thaw = fail_over(dinsos, second, frozen=True)
    assert dinsos.value("SELECT timeline_id FROM pg_control_checkpoint()") == "1"
    if written_on:
        dinsos.query("CREATE TABLE later AS SELECT generate_series(1, 100000) AS n")
    dinsos.start(wait=False)
    # What others wrote may have been applied in the tail as well.
    mark.assert_quarantined(*(["timeline 2", "its tail is not there any more"] if written_on else ["its log ends before"]),
                            instead="it has applied less than it had")
    thaw()
    mark.assert_others_go_on(place.pick())


def test_a_promoted_server_that_has_everything_goes_on(place, dinsos):
    """With its slot, as PostgreSQL 17 and pg_failover_slots keep it: here a copy of the stopped primary is promoted."""
    region = place.region
    shut_down(dinsos)
    copy_folder(dinsos.postgres.data, f"{dinsos.postgres.folder}/other")
    shutil.rmtree(replace_data(dinsos, f"{dinsos.postgres.folder}/other"))
    promote(dinsos)
    dinsos.start()
    passes_on(region, dinsos, place.pick(), "081200000003")
    region.wait_in_step()
    assert region.value("SELECT timeline FROM selaras.agency WHERE name = 'dinsos'") == "2"
    dinsos.stop()       # and so it does from then on
    dinsos.start()
    passes_on(region, dinsos, place.pick(), "081200000004")
