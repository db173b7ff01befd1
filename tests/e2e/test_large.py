"""One source transaction that is too large for one batch: whole at the broker, in several batches at whoever reads it."""

from cluster import wait_for

ROWS = 25_000
MEBIBYTES_MOST = 400            # of a daemon; the broker decides the transaction whole, at 10 KiB a change


def peak_mebibytes(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmHWM:")).split()[1]) // 1024


def test_a_transaction_of_25000_rows_is_fed_in_several_batches(sample):
    region, person = sample.region, sample.pick()
    dinsos, dinkes = region.agencies["dinsos"], region.agencies["dinkes"]

    def in_the_middle():
        """Whether dinkes has applied a part of the last transaction of dinsos, and no more."""
        return region.value(
            "SELECT coalesce(a.position BETWEEN t.first AND t.last - 1, false) FROM"
            " (SELECT min(e.position) AS first, max(e.position) AS last FROM selaras.entry e WHERE e.agency = 'dinsos' AND e.lsn ="
            "   (SELECT max(lsn) FROM selaras.entry WHERE agency = 'dinsos' AND kind = 'change')) t,"
            " (SELECT max(p.position) AS position FROM selaras.applied p JOIN selaras.agency g ON g.id = p.agency AND g.name = 'dinkes') a") == "t"

    # Work of the agency itself holds the row that changes last: batches before it are applied, the one with it waits.
    busy = region.run.start("busy", [*dinkes.postgres.psql("dinkes"), "-1", "-c", "SELECT 1 FROM peserta_jkn WHERE nik = "
                                     f"'{person.nik}' FOR UPDATE", "-c", "SELECT pg_sleep(600)"])
    wait_for("the row is held", lambda: dinkes.value(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'") == "1")
    dinsos.query("INSERT INTO penerima_bantuan (nik, nama, telepon, berhak) SELECT '6402010101' || lpad(n::text, 6, '0'), 'Warga ' || n,"
                 f" '0812' || n, 'Y' FROM generate_series(100001, {100_000 + ROWS}) AS n;"
                 f"UPDATE penerima_bantuan SET telepon = '081299990000' WHERE nik = '{person.nik}'")
    wait_for("dinkes has applied a part of the transaction", in_the_middle, 60)
    assert region.value("SELECT count(*) FROM selaras.resident WHERE name LIKE 'Warga %'") == str(ROWS)     # the broker has all of it

    # From the middle of it the agent goes on, also when both are killed: position and leaf there are good.
    peaks = [peak_mebibytes(process) for process in (region.broker, dinsos.agent, dinkes.agent)]
    dinkes.agent.kill()
    region.broker.kill()
    region.start_broker()
    dinkes.start()
    assert in_the_middle()
    assert 0 < int(dinkes.value("SELECT count(*) FROM peserta_jkn WHERE nama_peserta LIKE 'Warga %'")) < ROWS
    dinkes.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")
    busy.wait()
    region.wait_in_step()
    assert not region.audit_problems()
    assert {row["state"] for row in region.status()["agencies"]} == {"active"}
    peaks += [peak_mebibytes(process) for process in (region.broker, dinkes.agent)]
    assert max(peaks) < MEBIBYTES_MOST, peaks
