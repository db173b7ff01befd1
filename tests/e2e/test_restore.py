"""A database that is restored behind Selaras's back: nothing is lost silently, that agency is stopped and the reason said, the others go on.

A copy of the stopped data directory is what a snapshot of the machine would be: the same system identifier, the same timeline, the slot and
the origin still there. PostgreSQL itself resumes from it without a word and drops changes.
"""

import os
import shutil
import signal

from cluster import wait_for


def state(region, name):
    return region.query(f"SELECT state, coalesce(reason, '') FROM selaras.agency WHERE name = '{name}'")[0]


def copy_of(agency, name):
    """The data directory as it is now; the server must not run."""
    source, target = f"{agency.postgres.folder}/data", f"{agency.postgres.folder}/{name}"
    shutil.copytree(source, target, symlinks=True)
    for place, folders, files in os.walk(target):
        for inner in [".", *folders, *files]:
            status = os.lstat(os.path.join(source, os.path.relpath(os.path.join(place, inner), target)))
            os.lchown(os.path.join(place, inner), status.st_uid, status.st_gid)
    return target


def test_a_database_restored_from_a_snapshot_is_stopped_and_named(sample):
    region = sample.region
    dinsos, dinkes = region.agencies["dinsos"], region.agencies["dinkes"]
    data = f"{dinsos.postgres.folder}/data"

    dinsos.agent.stop()
    dinsos.postgres.stop(signal.SIGINT)
    snapshot = copy_of(dinsos, "snapshot")
    dinsos.postgres.start()
    dinsos.postgres.ready()
    dinsos.start()
    person = sample.pick()
    dinsos.query(f"UPDATE penerima_bantuan SET telepon = '081200000001' WHERE nik = '{person.nik}'")
    region.wait_in_step()

    dinsos.agent.stop()
    dinsos.postgres.stop(signal.SIGINT)
    shutil.rmtree(data)
    os.rename(snapshot, data)
    dinsos.postgres.start()
    dinsos.postgres.ready()
    # It goes on without knowing: the log grows past where it was, so that positions alone look sound.
    dinsos.query("CREATE TABLE later AS SELECT generate_series(1, 20000) AS n")
    before = region.value("SELECT lsn FROM selaras.agency WHERE name = 'dinsos'")
    dinsos.start(wait=False)
    wait_for("dinsos is quarantined", lambda: state(region, "dinsos")[0] == "quarantined", 30)
    assert any(word in state(region, "dinsos")[1] for word in ("restored", "fence", "history", "ahead")), state(region, "dinsos")
    assert region.value("SELECT lsn FROM selaras.agency WHERE name = 'dinsos'") == before
    assert region.value("SELECT count(*) FROM selaras.entry WHERE kind = 'quarantine' AND agency = 'dinsos'") == "1"
    assert state(region, "dinkes")[0] == "active"

    # The other agency's work still takes effect.
    other = sample.pick()
    dinkes.query(f"UPDATE peserta_jkn SET iuran = 77000 WHERE nik = '{other.nik}'")
    wait_for("the others go on", lambda: region.value(
        f"SELECT premium FROM selaras.resident WHERE nik = '{other.nik}'") == "77000.00", 30)
