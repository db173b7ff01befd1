"""The brake: what an agency does beyond a limit of the catalog waits, whole, until an operator has decided; everything else flows."""

import json
import random
import time

import pytest

from cluster import wait_for
from conftest import Sample

ELIGIBLE = "5 %"        # of dinsos' records may be switched off an hour


@pytest.fixture(scope="module")
def sample():
    made = Sample(600, seed=17)
    folder = made.region.run.folder
    with open(made.region.catalog, encoding="utf-8") as file:
        catalog = file.read()
    agreed = '                limit = "true to false 10 % 1 h"\n'
    assert agreed in catalog
    catalog = catalog.replace(agreed, f'                limit = "true to false {ELIGIBLE} 1 h"\n')
    existence = catalog.index("        existence\n", catalog.index("    resident\n")) + len("        existence\n")
    catalog = catalog[:existence] + '            limit = "deletions 5 % 1 h"\n' + catalog[existence:]
    made.region.catalog = f"{folder}/limited.zpl"
    with open(made.region.catalog, "w", encoding="utf-8") as file:
        file.write(catalog)
    try:
        yield made.start()
    finally:
        made.region.end()


def holds(region):
    return json.loads(region.selaras("hold", "list", "--json")[1])["holds"]


def shown(region, number, *options):
    return json.loads(region.selaras("hold", "show", str(number), "--json", *options)[1])


def held(region):
    return {agency["name"]: agency["held"] for agency in json.loads(region.selaras("status", "--json", check=False)[1])["agencies"]}


def wait_held(region, count, agency="dinsos"):
    wait_for(f"{count} changes of {agency} are held", lambda: held(region)[agency] == count, 30)


def eligible(sample, count):
    """People whom both agencies have as entitled, and whom no other test has had."""
    yes = {row[0] for row in sample.region.dinsos.query("SELECT nik FROM penerima_bantuan WHERE berhak = 'Y'")}
    found = [person.nik for person in sample.unused if person.nik in yes][:count]
    assert len(found) == count
    sample.unused = [person for person in sample.unused if person.nik not in found]
    return found


def quoted(niks):
    return ", ".join(f"'{nik}'" for nik in niks)


def switch_off(region, niks):
    """A wrong import: one transaction."""
    region.dinsos.query(f"UPDATE penerima_bantuan SET berhak = 'T' WHERE nik IN ({quoted(niks)})")


def entitled(region, agency, niks):
    sql = {"dinsos": "SELECT count(*) FROM penerima_bantuan WHERE berhak = 'Y' AND nik IN ({})",
           "dinkes": "SELECT count(*) FROM peserta_jkn WHERE berhak_pbi AND nik IN ({})"}[agency]
    return int(region.agencies[agency].value(sql.format(quoted(niks))))


def numbers(region, niks):
    return [int(row[0]) for row in region.query(f"SELECT number FROM selaras.resident WHERE nik IN ({quoted(niks)}) ORDER BY 1")]


def test_a_wrong_import_is_held_whole_and_everything_else_flows(sample):
    region = sample.region
    niks = eligible(sample, 40)
    region.dinsos.query(f"UPDATE penerima_bantuan SET berhak = 'T', telepon = '0812' || right(nik, 8) WHERE nik IN ({quoted(niks)})")
    wait_held(region, 40)
    wait_for("the telephone numbers are at dinkes", lambda: region.dinkes.value(
        f"SELECT count(*) FROM peserta_jkn WHERE no_hp = '0812' || right(nik, 8) AND nik IN ({quoted(niks)})") == "40", 30)
    assert entitled(region, "dinkes", niks) == 40
    assert entitled(region, "dinsos", niks) == 0        # its source is not put back
    [hold] = holds(region)
    assert (hold["agency"], hold["field"], hold["cause"], hold["held"]) == ("dinsos", "eligible", "limit", 40)
    told = shown(region, hold["hold"], "--limit", "5")
    assert told["counts"] == [{"field": "eligible", "operation": "update", "state": "held", "changes": 40}]
    assert len({row["record"] for row in told["samples"]}) == 5
    assert all((row["field"], row["old"], row["new"]) == ("eligible", "true", "false") for row in told["samples"])
    status, text, _ = region.selaras("status", check=False)
    assert status == 1 and f"selaras hold show {hold['hold']}" in text
    # Corrected at its own agency: it joins, and is settled with the others.
    region.dinsos.query(f"UPDATE penerima_bantuan SET berhak = 'Y' WHERE nik = '{niks[0]}'")
    wait_for("the correction has its entry", lambda: region.value(
        f"SELECT count(*) FROM selaras.held d JOIN selaras.entry e ON e.position = d.entry WHERE d.record = {numbers(region, niks[:1])[0]}"
        " AND e.body IS NOT NULL AND e.verdicts = '{held}'") == "1", 30)


def test_a_part_is_released_and_the_rest_rejected_with_the_login_user_in_the_ledger(sample):
    region = sample.region
    [hold] = holds(region)
    records = [row["record"] for row in shown(region, hold["hold"], "--limit", "100")["samples"]]
    records = sorted(set(records))
    part = f"{records[1]}-{records[20]}"
    chosen = [number for number in records if records[1] <= number <= records[20]]
    assert region.selaras("hold", "release", str(hold["hold"]), check=False)[0] == 2       # no ground
    assert "no open hold" in region.selaras("hold", "release", "999", "--ground", "x", check=False)[2]
    region.selaras("hold", "release", str(hold["hold"]), "--ground", "SK 1/2026", "--records", part)
    wait_held(region, 40 - len(chosen))
    region.selaras("hold", "reject", str(hold["hold"]), "--ground", "the file was cut off")
    wait_held(region, 0)
    region.wait_in_step()
    assert not region.audit_problems()
    assert holds(region) == []
    told = region.dinsos.query("SELECT field, yours, now, why FROM selaras.notice WHERE why LIKE 'ditahan, lalu ditolak oleh petugas %: the file was cut off'")
    assert len(told) == 40 - len(chosen) - 1        # the one that was corrected there has what stands
    assert {row[:3] for row in told} == {("eligible", "T", "Y")}
    decisions = region.query("SELECT kind, count(*) FROM selaras.entry WHERE kind LIKE 'hold %' AND record > 0 GROUP BY 1 ORDER BY 1")
    assert decisions == [("hold rejected", str(40 - len(chosen))), ("hold released", str(len(chosen)))]
    [says] = region.query("SELECT says FROM selaras.change_log WHERE kind = 'hold released' AND record = 0")
    assert says[0].endswith("SK 1/2026")
    [actor] = region.query("SELECT DISTINCT actor, ground FROM selaras.change_log WHERE kind = 'hold rejected' AND record > 0")
    assert actor[0] and actor[1] == "the file was cut off"
    off = int(region.value(f"SELECT count(*) FROM selaras.resident WHERE NOT eligible AND number IN ({', '.join(map(str, records))})"))
    assert off == len(chosen)


def test_held_deletions_leave_the_record_to_the_others_and_come_back_whole(sample):
    region = sample.region
    niks = eligible(sample, 40)
    region.dinsos.query(f"DELETE FROM penerima_bantuan WHERE nik IN ({quoted(niks)})")
    wait_held(region, 40)
    region.dinkes.query(f"UPDATE peserta_jkn SET alamat_lengkap = 'Jl. Baru 9' WHERE nik IN ({quoted(niks)})")
    wait_for("the address is canonical", lambda: region.value(
        f"SELECT count(*) FROM selaras.resident WHERE exists AND address = 'Jl. Baru 9' AND nik IN ({quoted(niks)})") == "40", 30)
    skips = region.value("SELECT count(*) FROM selaras.debt")
    [hold] = holds(region)
    # A decision that the broker's database refuses is not lost from sight.
    region.query("""CREATE FUNCTION not_now() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not now' USING ERRCODE = '23514'; END$$;
        CREATE TRIGGER not_now BEFORE INSERT ON selaras.entry FOR EACH ROW WHEN (NEW.kind = 'hold rejected' AND NEW.record > 0) EXECUTE FUNCTION not_now()""")
    region.selaras("hold", "reject", str(hold["hold"]), "--ground", "nobody has left")
    wait_for("status says so", lambda: f"decided about hold {hold['hold']} of dinsos is refused" in region.selaras("status", check=False)[1])
    assert [each["refused"] for each in json.loads(region.selaras("status", "--json", check=False)[1])["holds"]] == [True]
    region.query("DROP FUNCTION not_now() CASCADE")
    region.selaras("hold", "reject", str(hold["hold"]), "--ground", "nobody has left")
    wait_held(region, 0)
    region.wait_in_step()
    assert region.dinsos.value(f"SELECT count(*) FROM penerima_bantuan WHERE alamat = 'Jl. Baru 9' AND nik IN ({quoted(niks)})") == "40"
    assert region.value("SELECT count(*) FROM selaras.debt") == skips      # nothing of it was sent there, so nothing was skipped


def test_the_broker_is_killed_while_holds_are_made_and_released(sample):
    region = sample.region
    clock = random.Random(5)
    for released in (True, False):
        niks = eligible(sample, 40)
        before = region.value("SELECT count(*) FROM selaras.entry WHERE kind LIKE 'hold %' AND record > 0")
        switch_off(region, niks)
        time.sleep(clock.uniform(0, 0.3))
        region.broker.kill()
        region.start_broker()
        wait_held(region, 40)
        [hold] = holds(region)
        region.selaras("hold", "release" if released else "reject", str(hold["hold"]), "--ground", "seen")
        time.sleep(clock.uniform(0, 0.1))
        region.broker.kill()
        region.start_broker()
        wait_held(region, 0)
        region.wait_in_step()
        assert not region.audit_problems()
        assert entitled(region, "dinkes", niks) == entitled(region, "dinsos", niks) == (0 if released else 40)
        after = region.value("SELECT count(*) FROM selaras.entry WHERE kind LIKE 'hold %' AND record > 0")
        assert int(after) - int(before) == 40       # each once
