"""Changes that can never be known: a slot that was dropped, invalidated or made anew, a table that left the publication, was swapped or
truncated. The agency is stopped at the broker and named, its own database is not harmed, the others go on."""

import os

import pytest

from cluster import Failed, wait_for
from history import Mark, passes_on

SLOT = "SELECT {} FROM pg_replication_slots WHERE slot_name = 'selaras_dinsos'"


@pytest.fixture
def dinsos(place):
    """Its agent is away."""
    place.region.dinsos.stop()
    return place.region.dinsos


def writes(place, dinsos):
    """A change that the broker does not have."""
    dinsos.query(f"UPDATE penerima_bantuan SET telepon = '081200000666' WHERE nik = '{place.pick().nik}'")


def ends(place, dinsos, mark, *words):
    dinsos.start(wait=False)
    mark.assert_quarantined(*words)
    mark.assert_others_go_on(place.pick())


def test_a_slot_that_a_dba_dropped(place, dinsos):
    mark = Mark(place.region, dinsos)
    dinsos.query("SELECT pg_drop_replication_slot('selaras_dinsos')")
    ends(place, dinsos, mark, "replication slot selaras_dinsos is gone")


def test_after_a_lost_slot_the_edits_of_the_gap_are_taken_and_no_deletion_is_guessed(place, dinsos):
    region = place.region
    mark = Mark(region, dinsos)
    edited, deleted = place.pick(), place.pick()
    dinsos.query("SELECT pg_drop_replication_slot('selaras_dinsos')")
    dinsos.query(f"UPDATE penerima_bantuan SET telepon = '081200000020' WHERE nik = '{edited.nik}'")
    dinsos.query(f"UPDATE penerima_bantuan SET no_kk = '6402010000000020' WHERE nik = '{edited.nik}'")
    dinsos.query(f"DELETE FROM penerima_bantuan WHERE nik = '{deleted.nik}'")
    ends(place, dinsos, mark, "replication slot selaras_dinsos is gone")
    mark.load_anew()
    assert region.value(f"SELECT family_card FROM selaras.resident WHERE nik = '{edited.nik}'") == "6402010000000020"
    assert dinsos.value(f"SELECT nama FROM penerima_bantuan WHERE nik = '{deleted.nik}'") == deleted.name
    assert region.value("SELECT count(*) FROM selaras.entry WHERE kind = 'item' AND agency = 'dinsos' AND record ="
                        f" (SELECT number FROM selaras.resident WHERE nik = '{deleted.nik}')") == "1"
    passes_on(region, dinsos, place.pick(), "081200000021")


def test_an_agency_that_is_not_stopped_can_be_loaded_anew_too(place, dinsos):
    region = place.region
    dinsos.start()
    region.selaras("agency", "reload", "dinsos", "--ground", "SK 13/2026")
    wait_for("it is loaded anew", lambda: region.query(
        "SELECT incarnation, state FROM selaras.agency WHERE name = 'dinsos'") == [("2", "active")])
    region.wait_in_step()
    assert region.value("SELECT count(*) FROM selaras.entry WHERE kind = 'change' AND agency = 'dinsos' AND operation = 'load'"
                        " AND incarnation = 2 AND 'applied' = ANY (verdicts)") == "0"
    passes_on(region, dinsos, place.pick(), "081200000022")


def test_a_slot_that_is_dropped_under_the_running_agent(place, dinsos):
    region = place.region
    dinsos.start()
    passes_on(region, dinsos, place.pick(), "081200000001")

    def dropped():
        return dinsos.postgres.query("dinsos", "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots; SELECT pg_sleep(0.02);"
                                     " SELECT pg_drop_replication_slot('selaras_dinsos')", check=False) is not None
    wait_for("the slot is dropped", dropped)
    mark = Mark(region, dinsos)
    mark.assert_quarantined("replication slot selaras_dinsos is gone")
    mark.assert_others_go_on(place.pick())


def flood(dinsos):
    dinsos.query("ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'")
    dinsos.query("SELECT pg_reload_conf()")

    def lost():
        dinsos.query("SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000)) FROM generate_series(1, 20)")
        dinsos.query("SELECT pg_switch_wal()")
        dinsos.query("CHECKPOINT")
        return dinsos.value(SLOT.format("wal_status")) == "lost"
    wait_for("the slot is given up", lost)


def test_a_slot_that_kept_more_than_it_may(place, dinsos):
    """The agency's own work comes first: its disk is not filled, its database stays up."""
    mark = Mark(place.region, dinsos)
    flood(dinsos)
    writes(place, dinsos)
    ends(place, dinsos, mark, "max_slot_wal_keep_size")
    writes(place, dinsos)


def test_a_slot_that_was_given_up_while_the_broker_was_away(place, dinsos):
    """The agent runs and has nobody to tell: it waits for the broker and tells it then."""
    region = place.region
    dinsos.start()
    passes_on(region, dinsos, place.pick(), "081200000002")
    region.broker.stop()
    mark = Mark(region, dinsos)
    flood(dinsos)
    region.start_broker()
    mark.assert_quarantined("max_slot_wal_keep_size")
    mark.assert_others_go_on(place.pick())


def test_a_slot_that_was_made_anew_by_hand(place, dinsos):
    """Everything looks sound, and the changes in between are missing."""
    mark = Mark(place.region, dinsos)
    dinsos.query("SELECT pg_drop_replication_slot('selaras_dinsos')")
    writes(place, dinsos)
    dinsos.query("SELECT pg_create_logical_replication_slot('selaras_dinsos', 'pgoutput')")
    ends(place, dinsos, mark, "ahead of what the broker has")


def test_a_table_that_was_taken_out_of_the_publication_and_put_back(place, dinsos):
    mark = Mark(place.region, dinsos)
    dinsos.query("ALTER PUBLICATION selaras DROP TABLE penerima_bantuan")
    writes(place, dinsos)
    dinsos.query("ALTER PUBLICATION selaras ADD TABLE penerima_bantuan")
    ends(place, dinsos, mark, "penerima_bantuan", "taken out of the publication")


def test_a_publication_that_left_updates_out_for_a_while(place, dinsos):
    mark = Mark(place.region, dinsos)
    dinsos.query("ALTER PUBLICATION selaras SET (publish = 'insert')")
    writes(place, dinsos)
    dinsos.query("ALTER PUBLICATION selaras SET (publish = 'insert, update, delete, truncate')")
    ends(place, dinsos, mark, "public", "published anew")


def test_a_publication_that_was_dropped_and_made_anew(place, dinsos):
    """In between the stream cannot be decoded, not now and not later."""
    mark = Mark(place.region, dinsos)
    dinsos.query("DROP PUBLICATION selaras")
    writes(place, dinsos)
    dinsos.start(wait=False)
    assert dinsos.agent.wait(20) > 0
    assert "publication selaras is not there" in dinsos.agent.text()
    dinsos.prepare()
    ends(place, dinsos, mark, "publi")


def test_a_table_that_was_swapped_for_another(place, dinsos):
    """Nightly reloads do so. The publication follows the old table, without an error."""
    region = place.region
    dinsos.start()
    passes_on(region, dinsos, place.pick(), "081200000003")
    mark = Mark(region, dinsos)
    dinsos.query("ALTER TABLE penerima_bantuan RENAME TO kemarin; CREATE TABLE penerima_bantuan (LIKE kemarin INCLUDING ALL);"
                 " INSERT INTO penerima_bantuan SELECT * FROM kemarin")
    wait_for("it is quarantined", lambda: mark.state()[0] == "quarantined")
    mark.had = mark.has()       # fence rows went on until it was found
    mark.assert_nothing_taken()
    assert "penerima_bantuan" in mark.state()[1]
    assert dinsos.agent.wait(20) > 0
    dinsos.start(wait=False)    # nor when the new one is published
    assert dinsos.agent.wait(20) > 0
    dinsos.prepare()
    writes(place, dinsos)
    dinsos.start(wait=False)
    assert dinsos.agent.wait(20) > 0
    mark.assert_nothing_taken()
    mark.assert_others_go_on(place.pick())


def test_a_table_that_was_swapped_while_the_agent_was_away(place, dinsos):
    mark = Mark(place.region, dinsos)
    dinsos.query("ALTER TABLE penerima_bantuan RENAME TO kemarin; CREATE TABLE penerima_bantuan (LIKE kemarin INCLUDING ALL);"
                 " INSERT INTO penerima_bantuan SELECT * FROM kemarin")
    writes(place, dinsos)
    dinsos.prepare()
    ends(place, dinsos, mark, "penerima_bantuan", "replaced")


def test_a_table_that_was_truncated(place, dinsos):
    """What was in it is not in the log."""
    mark = Mark(place.region, dinsos)
    before = place.region.value("SELECT count(*) FROM selaras.resident WHERE exists")
    dinsos.query("TRUNCATE penerima_bantuan")
    dinsos.start(wait=False)
    wait_for("it is quarantined", lambda: mark.state()[0] == "quarantined")
    mark.had = mark.has()       # what came before the TRUNCATE was taken
    mark.assert_quarantined("penerima_bantuan", "truncated")
    assert place.region.value("SELECT count(*) FROM selaras.resident WHERE exists") == before
    mark.assert_others_go_on(place.pick())


def test_an_origin_that_was_dropped_under_the_running_agent_and_while_it_was_away(place, dinsos):
    """PostgreSQL keeps one that is in use. Once it is gone the log no longer tells whose the transactions under it were."""
    region = place.region
    dinsos.start()
    passes_on(region, dinsos, place.pick(), "081200000005")
    with pytest.raises(Failed, match="in use|being used|is active"):
        dinsos.query("SELECT pg_replication_origin_drop('selaras_dinsos')")
    passes_on(region, dinsos, place.pick(), "081200000006")
    wait_for("all of it is acknowledged", lambda: region.value("SELECT applied FROM selaras.agency WHERE name = 'dinsos'")
             == region.value("SELECT head FROM selaras.state"))
    dinsos.kill()
    mark = Mark(region, dinsos)
    wait_for("it is dropped", lambda: dinsos.postgres.query(
        "dinsos", "SELECT pg_replication_origin_drop('selaras_dinsos')", check=False) is not None)
    dinsos.start(wait=False)
    assert dinsos.agent.wait(20) > 0
    assert "origin selaras_dinsos is not there" in dinsos.agent.text()
    assert mark.state() == ("active", "")
    dinsos.query("SELECT pg_replication_origin_create('somebody_elses')")     # takes the number that has become free
    dinsos.prepare()
    ends(place, dinsos, mark, "replication origin was dropped or made anew")
    mark.load_anew()
    passes_on(region, dinsos, place.pick(), "081200000007")


def test_check_warns_before_it_is_too_late(place, dinsos):
    """Of settings and of a slot that are not wrong yet."""
    run = place.region.run
    folder = os.path.dirname(run.program("selaras-agent"))      # where it is not installed, PATH says where it is

    def check():
        _, output, _ = run.call(["env", f"PATH={folder}:/usr/bin:/bin", run.program("selaras"), "check", "--agent", dinsos.file])
        return " ".join(output.split())

    assert "nobody reads the replication slot selaras_dinsos" in check()
    dinsos.query("ALTER SYSTEM SET max_slot_wal_keep_size = '64MB'")
    dinsos.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
    dinsos.query("ALTER SYSTEM SET synchronous_commit = 'local'")        # else nobody could commit any more
    dinsos.query("ALTER SYSTEM SET wal_sender_timeout = 0")
    dinsos.query("SELECT pg_reload_conf()")
    dinsos.query("SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000)) FROM generate_series(1, 40)")
    said = wait_for("the settings are in force", lambda: check() if "wal_sender_timeout" in check() else None)
    assert "of the 64 MB that it may" in said
    assert "synchronous_standby_names is *" in said
    flood(dinsos)
    assert "was given up" in check()
    dinsos.query("SELECT pg_drop_replication_slot('selaras_dinsos')")
    assert "must be loaded anew" in check()
    dinsos.query("ALTER SYSTEM RESET synchronous_standby_names")


def test_what_a_dba_can_mend_is_no_doubt(place, dinsos):
    """A column that was renamed: the agent says so and ends; once it is mended it goes on where it was."""
    region = place.region
    mark = Mark(region, dinsos)
    dinsos.query("ALTER TABLE penerima_bantuan RENAME telepon TO nomor_telepon")
    dinsos.start(wait=False)
    assert dinsos.agent.wait(20) > 0
    assert "no column telepon" in dinsos.agent.text()
    assert mark.state() == ("active", "")
    dinsos.query("ALTER TABLE penerima_bantuan RENAME nomor_telepon TO telepon")
    dinsos.start()
    passes_on(region, dinsos, place.pick(), "081200000004")
    region.wait_in_step()
