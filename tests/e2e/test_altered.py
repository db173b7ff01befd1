"""What is done to an agency's tables and not to their rows: commands that change values without a trace in the log are found and stop it, those
that change none do not; and what is mapped only now is said to have never been loaded."""

import json

from cluster import wait_for
from history import Mark, fence_goes_on, passes_on


def text(agency):
    return " ".join(agency.agent.text().split())


def status(region, agency):
    return json.loads(region.selaras("status", "--json", "--socket", agency.control)[1])


def goes_on(region, agency, person, number):
    """Over at least one look at the tables."""
    fence_goes_on(region, agency)
    passes_on(region, agency, person, number)
    assert region.value(f"SELECT state FROM selaras.agency WHERE name = '{agency.name}'") == "active"


def test_a_column_whose_values_were_rewritten_under_the_running_agent(place):
    """The type stays, the stream shows nothing, and every value is another."""
    region, dinsos = place.region, place.region.dinsos
    edited = place.pick()
    mark = Mark(region, dinsos)
    dinsos.query("ALTER TABLE penerima_bantuan ALTER telepon TYPE varchar(20) USING '0' || telepon")
    wait_for("it is quarantined", lambda: mark.state()[0] == "quarantined")
    mark.had = mark.has()       # fence rows went on until it was found
    mark.assert_quarantined("penerima_bantuan", "was rewritten", "cannot be known")
    mark.assert_others_go_on(place.pick())
    before = dinsos.value(f"SELECT telepon FROM penerima_bantuan WHERE nik = '{edited.nik}'")
    mark.load_anew()
    assert region.value(f"SELECT phone FROM selaras.resident WHERE nik = '{edited.nik}'") == before
    goes_on(region, dinsos, place.pick(), "081200000030")


def test_a_column_that_was_dropped_and_made_anew_while_the_agent_was_away(place):
    region, dinsos = place.region, place.region.dinsos
    dinsos.stop()
    mark = Mark(region, dinsos)
    dinsos.query("ALTER TABLE penerima_bantuan DROP telepon; ALTER TABLE penerima_bantuan ADD telepon varchar(20) DEFAULT '0800'")
    dinsos.prepare()
    dinsos.start(wait=False)
    mark.assert_quarantined("penerima_bantuan", "made anew")


def test_commands_that_change_no_value_do_not_stop_an_agency(place):
    region, dinsos = place.region, place.region.dinsos
    for number, sql in enumerate([
            "VACUUM FULL penerima_bantuan",
            "ALTER TABLE penerima_bantuan ALTER telepon SET STATISTICS 50",
            "CLUSTER penerima_bantuan USING penerima_bantuan_pkey",
            "ALTER TABLE penerima_bantuan ALTER telepon TYPE varchar(40)"]):
        dinsos.query(sql)
        goes_on(region, dinsos, place.pick(), f"08120000004{number}")
    wait_for("the wider column was noticed", lambda: "altered: it is looked at anew" in text(dinsos))
    person = place.pick()       # casts are those of the table as it is now
    region.dinkes.query(f"UPDATE peserta_jkn SET no_hp = '{'8' * 30}' WHERE nik = '{person.nik}'")
    wait_for("a longer number arrives", lambda: dinsos.value(
        f"SELECT telepon FROM penerima_bantuan WHERE nik = '{person.nik}'") == "8" * 30)


def test_a_column_that_is_mapped_only_now_was_never_loaded(place):
    region, dinsos = place.region, place.region.dinsos
    with open(dinsos.file, encoding="utf-8") as file:
        whole = file.read()
    lines = "            phone\n                column = telepon\n"
    assert lines in whole
    dinsos.stop()
    dinsos.run.write("dinsos.zpl", whole.replace(lines, ""))
    region.selaras("agency", "reload", "dinsos", "--ground", "SK 14/2026")
    dinsos.start()
    region.dinkes.query("UPDATE peserta_jkn SET no_hp = '0877' WHERE nik IN (SELECT nik FROM peserta_jkn LIMIT 5)")
    wait_for("it is not fed that field", lambda: region.value("SELECT count(*) FROM selaras.resident WHERE phone = '0877'") == "5")
    assert "never_loaded" not in status(region, dinsos)
    dinsos.stop()
    dinsos.run.write("dinsos.zpl", whole)
    dinsos.start()
    wait_for("status says so", lambda: status(region, dinsos).get("never_loaded") == "public.penerima_bantuan.telepon")
    assert "penerima_bantuan.telepon: mapped since this agency was loaded" in text(dinsos)
    assert "selaras agency reload dinsos" in text(dinsos)
    region.selaras("agency", "reload", "dinsos", "--ground", "SK 15/2026")
    wait_for("it was loaded", lambda: region.query("SELECT incarnation, state FROM selaras.agency WHERE name = 'dinsos'") == [("3", "active")])
    region.wait_in_step()
    assert "never_loaded" not in status(region, dinsos)
