"""One suite of scenarios for every driver: dinkes has a database or a list, dinsos a database, and what they do to one another comes out
the same."""

import random
import time

import pytest

import clerk
from clerk import FIELDS, ListAgency
from cluster import wait_for
from region import TRANSLATED, Region

PEOPLE = 40


def nik(number):
    return f"64020602029{number:05}"


class Database:
    """dinkes with its table."""

    COLUMNS = {"name": "nama_peserta", "phone": "no_hp", "eligible": "berhak_pbi", "premium": "iuran", "household_size": "jumlah_keluarga"}

    def __init__(self):
        self.region = Region(agencies=["dinsos", "dinkes"])
        self.agency = self.region.agencies["dinkes"]

    def first(self, rows):
        self.region.configure(fence_interval="250ms", retry_interval="500ms")
        for key, fields in rows.items():
            self.put(key, **fields)
        self.region.start()

    def put(self, key, **fields):
        """With a name somebody new, else one who is there."""
        names = ["nik", *(self.COLUMNS[field] for field in fields)]
        values = [f"'{key}'", *("NULL" if value is None else f"'{value}'" for value in fields.values())]
        if "name" in fields:
            self.agency.query(f"INSERT INTO peserta_jkn ({', '.join(names)}) VALUES ({', '.join(values)})")
        else:
            pairs = ", ".join(f"{name} = {value}" for name, value in zip(names[1:], values[1:]))
            self.agency.query(f"UPDATE peserta_jkn SET {pairs} WHERE nik = '{key}'")

    def remove(self, key):
        self.agency.query(f"DELETE FROM peserta_jkn WHERE nik = '{key}'")

    def save(self, wait=True):
        """Each write was a transaction of its own."""

    def value(self, key, field):
        rows = self.agency.query(f"SELECT {field} FROM ({TRANSLATED['dinkes']}) AS t WHERE nik = '{key}'")
        return rows[0][0] if rows else "gone"

    def told(self, key):
        """The fields of this person about which its people were told that something was put back."""
        return {row[0] for row in self.agency.query(f"SELECT field FROM selaras.notice WHERE key LIKE '%{key}%' AND decided_by = 'dinsos'")}

    def in_step(self):
        self.region.wait_in_step()

    def codes(self, without_women):
        """The mapping, with or without a spelling for one value."""
        with open(self.agency.file, encoding="utf-8") as file:
            text = file.read()
        line = "                    2 = female\n"
        with open(self.agency.file, "w", encoding="utf-8") as file:
            file.write(text.replace(line, "") if without_women else text.replace("                    1 = male\n", "                    1 = male\n" + line))


class List:
    """dinkes with its list."""

    def __init__(self):
        self.region = Region(agencies=["dinsos"])
        self.agency = ListAgency(self.region)

    def first(self, rows):
        self.region.configure(fence_interval="250ms")
        self.agency.configure(retry_interval="500ms")
        self.agency.prepare()
        for key, fields in rows.items():
            self.agency.put(key, **fields)
        self.region.start()
        self.agency.enrol()
        self.agency.start(wait=False)
        self.agency.save()
        self.agency.wait_up()

    def put(self, key, **fields):
        self.agency.put(key, **fields)

    def remove(self, key):
        del self.agency.rows[key]

    def save(self, wait=True):
        self.agency.save(wait=wait and self.agency.agent.alive())

    def value(self, key, field):
        held = self.agency.holds()
        return held[key][field] if key in held else "gone"

    def told(self, key):
        titles = {title: field for field, title in clerk.TITLES.items()}
        return {titles[line["column"]] for line in self.agency.corrections() if line["key"] == key and "dinsos" in line["reason"]}

    def in_step(self):
        clerk.wait_in_step(self.region, self.agency)

    def codes(self, without_women):
        line = "                    P = female\n"
        self.agency.configure(retry_interval="500ms", replace=[(line, "")] if without_women else ())


@pytest.fixture(scope="module", params=[Database, List], ids=["postgres", "csv"])
def side(request):
    made = request.param()
    try:
        made.region.create_servers()
        made.region.dinsos.query("INSERT INTO penerima_bantuan (nik, nama, berhak, jml_anggota, jk) SELECT"
                                 f" '64020602029' || lpad(i::text, 5, '0'), 'Warga ' || i, 'Y', 3, 'L' FROM generate_series(1, {PEOPLE}) AS i")
        made.first({nik(number): {"name": f"Warga {number}", "phone": f"0812{number}"} for number in range(1, PEOPLE - 9)})
        made.in_step()
        made.people = iter([nik(number) for number in range(1, PEOPLE - 9)])
        yield made
    finally:
        made.region.end()


@pytest.fixture(autouse=True)
def in_step_after(side):
    yield
    if not side.agency.agent.alive():
        side.agency.start()
    side.in_step()
    assert side.region.audit_problems() == []


def verdicts(side, key, field):
    return side.region.query("SELECT agency, v FROM selaras.entry, unnest(fields, verdicts) AS u (f, v) WHERE kind = 'change' AND operation <> 'load'"
                             f" AND f = '{field}' AND record = (SELECT number FROM selaras.resident WHERE nik = '{key}') ORDER BY position")


def apart(side, order, dinsos, dinkes):
    """Both agents are away while their people work; then they come back in this order, each once the one before has been heard."""
    side.agency.stop()
    side.region.dinsos.stop()
    before = {name: side.region.change_entries(name) for name in order}
    side.region.dinsos.query(dinsos)
    dinkes()
    side.save(wait=False)
    for name in order:
        (side.agency if name == "dinkes" else side.region.dinsos).start()
        wait_for(f"the broker has heard {name}", lambda: side.region.change_entries(name) > before[name])
    side.in_step()


def both_orders(function):
    return pytest.mark.parametrize("order", [("dinsos", "dinkes"), ("dinkes", "dinsos")], ids=["dinsos-first", "dinkes-first"])(function)


def test_the_first_load_brought_everyone_to_both(side):
    assert side.value(nik(PEOPLE), "name") == f"Warga {PEOPLE}"         # whom dinsos alone knew
    assert side.region.dinsos.value("SELECT telepon FROM penerima_bantuan WHERE nik = '" + nik(1) + "'") == "08121"
    assert side.region.value("SELECT count(*) FROM selaras.resident WHERE exists") == str(PEOPLE)


def test_writes_of_each_reach_the_other(side):
    key, new, gone = next(side.people), "6402060202970001", next(side.people)
    side.put(key, phone="081101", premium="1250000.50")
    side.put(new, name="Baru")
    side.remove(gone)
    side.save()
    side.in_step()
    assert side.region.dinsos.query(f"SELECT telepon FROM penerima_bantuan WHERE nik = '{key}'") == [("081101",)]
    assert side.region.value(f"SELECT premium::text FROM selaras.resident WHERE nik = '{key}'") == "1250000.50"
    assert side.region.dinsos.query(f"SELECT nama FROM penerima_bantuan WHERE nik = '{new}'") == [("Baru",)]
    assert side.region.dinsos.query(f"SELECT 1 FROM penerima_bantuan WHERE nik = '{gone}'") == []
    side.region.dinsos.query(f"UPDATE penerima_bantuan SET jml_anggota = 9 WHERE nik = '{key}'; DELETE FROM penerima_bantuan WHERE nik = '{new}';"
                             "INSERT INTO penerima_bantuan (nik, nama) VALUES ('6402060202970002', 'Lain')")
    wait_for("it arrives", lambda: side.value(key, "household_size") == "9" and side.value(new, "name") == "gone"
             and side.value("6402060202970002", "name") == "Lain")


def test_what_others_wrote_is_not_sent_back(side):
    key, before = next(side.people), side.region.change_entries("dinkes")
    side.region.dinsos.query(f"UPDATE penerima_bantuan SET jml_anggota = 8 WHERE nik = '{key}'")
    side.in_step()
    side.save()
    time.sleep(1)
    assert side.region.change_entries("dinkes") == before


def test_who_may_not_write_is_put_back_and_told(side):
    key = next(side.people)
    side.put(key, eligible="false")
    side.save()
    wait_for("it is decided", lambda: verdicts(side, key, "eligible") == [("dinkes", "put back")])
    side.in_step()
    assert side.value(key, "eligible") == "true"
    assert side.told(key) == {"eligible"}


@both_orders
def test_both_offline_and_the_owner_wins(side, order):
    key = next(side.people)
    apart(side, order, f"UPDATE penerima_bantuan SET telepon = '081011' WHERE nik = '{key}'", lambda: side.put(key, phone="081022"))
    assert side.value(key, "phone") == "081022"
    first = {"dinsos": [("dinsos", "applied"), ("dinkes", "won")], "dinkes": [("dinkes", "applied"), ("dinsos", "lost")]}
    assert verdicts(side, key, "phone") == first[order[0]]


@both_orders
def test_both_offline_and_the_largest_wins(side, order):
    key = next(side.people)
    apart(side, order, f"UPDATE penerima_bantuan SET jml_anggota = 17 WHERE nik = '{key}'", lambda: side.put(key, household_size="16"))
    assert side.value(key, "household_size") == "17"


@both_orders
def test_both_offline_and_different_fields_survive(side, order):
    key = next(side.people)
    apart(side, order, f"UPDATE penerima_bantuan SET jml_anggota = 13 WHERE nik = '{key}'", lambda: side.put(key, phone="081033"))
    assert (side.value(key, "household_size"), side.value(key, "phone")) == ("13", "081033")


def test_what_it_cannot_hold_is_parked_and_tried_again(side):
    key = next(side.people)
    side.agency.stop()
    side.codes(without_women=True)
    side.agency.start()
    side.region.dinsos.query(f"UPDATE penerima_bantuan SET jk = 'P' WHERE nik = '{key}'")
    parked = f"SELECT count(*) FROM selaras.entry WHERE kind = 'parked' AND record = (SELECT number FROM selaras.resident WHERE nik = '{key}')"
    wait_for("it is parked", lambda: side.region.value(parked) == "1")
    assert side.value(key, "sex") != "female"
    side.region.dinsos.query(f"UPDATE penerima_bantuan SET jml_anggota = 12 WHERE nik = '{key}'")       # queues behind it
    side.agency.stop()
    side.codes(without_women=False)
    side.agency.start()
    wait_for("it is released", lambda: side.region.value(parked.replace("'parked'", "'released'")) == "1")
    side.in_step()
    assert (side.value(key, "sex"), side.value(key, "household_size")) == ("female", "12")


def test_killed_at_any_moment_nothing_is_lost_or_twice(side):
    people, chance, serial = [next(side.people) for _ in range(6)], random.Random("conformance"), 0
    made = side.region.change_entries("dinkes")
    for _ in range(6):
        for key in people:
            serial += 1
            side.put(key, phone=f"0877{serial:06}")
        side.save(wait=False)
        side.region.dinsos.query(f"UPDATE penerima_bantuan SET no_kk = '64020100{serial:08}' WHERE nik = '{chance.choice(people)}'")
        time.sleep(chance.choice((0, 0.01, 0.05, 0.2)) * chance.random())
        side.agency.kill()
        side.agency.start(wait=False)
        made += len(people)
        wait_for("every change has its entry", lambda: side.region.change_entries("dinkes") >= made)
    side.in_step()
    assert side.region.change_entries("dinkes") == made


def test_fields_are_the_same_set():
    assert set(Database.COLUMNS) <= set(FIELDS)
