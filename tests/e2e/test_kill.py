"""kill -9 of the broker and of either agent, at many moments of activity: nothing lost, nothing twice, all in step."""

import random
import signal
import time

import pytest

from conftest import Sample
from region import AGENCIES

MOMENTS = 10        # for each process and seed
SEEDS = [1, 2]


class Worker:
    """What clerks do, and how many changes it made: every write has a value nobody ever had, so each is a change."""

    serial = 0      # of the whole module

    def __init__(self, sample, seed):
        self.region = sample.region
        self.random = random.Random(f"work {seed}")
        self.people = [person.nik for person in sample.unused[:60]]
        self.made = {name: self.region.change_entries(name) for name in AGENCIES}
        self.own = []       # inserted by us

    def number(self):
        Worker.serial += 1
        return f"0810{Worker.serial:08}"

    def run(self, agency, sql):
        """One transaction; counts the rows it changed."""
        count = self.region.agencies[agency].value(f"WITH w AS ({sql} RETURNING 1) SELECT count(*) FROM w")
        self.made[agency] += int(count)

    def phone(self, agency):
        column, table = {"dinsos": ("telepon", "penerima_bantuan"), "dinkes": ("no_hp", "peserta_jkn")}[agency]
        self.run(agency, f"UPDATE {table} SET {column} = '{self.number()}' WHERE nik = '{self.random.choice(self.people)}'")

    def several(self, agency):
        column, table = {"dinsos": ("alamat", "penerima_bantuan"), "dinkes": ("alamat_lengkap", "peserta_jkn")}[agency]
        niks = ", ".join(f"'{nik}'" for nik in self.random.sample(self.people, 12))
        self.run(agency, f"UPDATE {table} SET {column} = 'Jl. {self.number()}' WHERE nik IN ({niks})")

    def owned(self, agency):
        sql = {"dinsos": "UPDATE penerima_bantuan SET no_kk = '640201{0}' WHERE nik = '{1}'",
               "dinkes": "UPDATE peserta_jkn SET iuran = {2} WHERE nik = '{1}'"}[agency]
        number = self.number()
        self.run(agency, sql.format(number[2:], self.random.choice(self.people), int(number[4:])))

    def insert(self, agency):
        Worker.serial += 1
        nik = f"640206010170{Worker.serial:04}"
        self.own.append((agency, nik))
        sql = {"dinsos": "INSERT INTO penerima_bantuan (nik, nama, berhak) VALUES ('{0}', 'Baru', 'Y')",
               "dinkes": "INSERT INTO peserta_jkn (nik, nama_peserta, jenis_peserta, status_aktif) VALUES ('{0}', 'Baru', 'MANDIRI', 'AKTIF')"}
        self.run(agency, sql[agency].format(nik))

    def delete(self, agency):
        mine = [nik for name, nik in self.own if name == agency]
        if mine:
            nik = self.random.choice(mine)
            self.own.remove((agency, nik))
            table = {"dinsos": "penerima_bantuan", "dinkes": "peserta_jkn"}[agency]
            self.run(agency, f"DELETE FROM {table} WHERE nik = '{nik}'")

    def work(self):
        act = self.random.choice([self.phone, self.phone, self.several, self.owned, self.insert, self.delete])
        act(self.random.choice(AGENCIES))


@pytest.fixture(scope="module")
def sample():
    made = Sample(200, seed=11)
    try:
        yield made.start()
    finally:
        made.region.end()


@pytest.fixture(autouse=True)
def running_and_in_step(sample):
    """Whatever a failed test before left dead is started again."""
    region = sample.region
    if not region.broker.alive():
        region.start_broker()
    for agency in region.agencies.values():
        if not agency.agent.alive():
            agency.start()
    region.wait_in_step()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("victim", ["broker", *AGENCIES])
def test_killed_at_any_moment_all_end_in_step_and_audited_once(sample, victim, seed):
    region = sample.region
    worker = Worker(sample, f"{victim} {seed}")
    chance = random.Random(f"kill {victim} {seed}")
    for _ in range(MOMENTS):
        for _ in range(chance.randrange(1, 12)):
            worker.work()
        kill(region, victim, chance)
        for _ in range(chance.randrange(0, 8)):
            worker.work()
        revive(region, victim)
        for _ in range(chance.randrange(0, 6)):
            worker.work()
    region.wait_in_step(60)
    assert region.audit_problems() == []
    assert region.parked() == []
    assert {name: region.change_entries(name) for name in AGENCIES} == worker.made


@pytest.mark.parametrize("seed", SEEDS)
def test_all_three_killed_at_once(sample, seed):
    region = sample.region
    worker = Worker(sample, f"all {seed}")
    for _ in range(4):
        for _ in range(10):
            worker.work()
        for process in (region.broker, region.dinsos.agent, region.dinkes.agent):
            process.kill()
        for _ in range(5):
            worker.work()
        region.start_broker(wait=False)
        for agency in region.agencies.values():
            agency.start(wait=False)
    region.wait_in_step(60)
    assert region.audit_problems() == []
    assert {name: region.change_entries(name) for name in AGENCIES} == worker.made


@pytest.mark.parametrize("victim", AGENCIES)
def test_an_agencys_postgresql_crashes_under_load(sample, victim):
    """An immediate shutdown: the slot may have gone back, the agent reconnects by itself, duplicates are none."""
    region = sample.region
    worker = Worker(sample, f"postgres {victim}")
    for _ in range(2):
        for _ in range(15):
            worker.work()
        server = region.agencies[victim].postgres
        server.stop(signal.SIGQUIT)
        server.start()
        server.ready()
        for _ in range(5):
            worker.work()
    region.wait_in_step(60)
    assert region.audit_problems() == []
    assert {name: region.change_entries(name) for name in AGENCIES} == worker.made


def test_the_brokers_postgresql_crashes_under_load(sample):
    """A COMMIT whose result was lost may have happened or not; never both."""
    region = sample.region
    worker = Worker(sample, "postgres broker")
    for _ in range(3):
        for _ in range(15):
            worker.work()
        region.postgres.stop(signal.SIGQUIT)
        for _ in range(5):
            worker.work()
        region.postgres.start()
        region.postgres.ready()
        if not region.broker.alive():
            region.start_broker(wait=False)
    region.wait_in_step(60)
    assert region.audit_problems() == []
    assert {name: region.change_entries(name) for name in AGENCIES} == worker.made


def kill(region, victim, chance):
    """After a pause of no particular length, so that it hits any step of what is under way."""
    time.sleep(chance.choice((0, 0.001, 0.003, 0.01, 0.03, 0.1)) * chance.random())
    (region.broker if victim == "broker" else region.agencies[victim].agent).kill()


def revive(region, victim):
    if victim == "broker":
        region.start_broker(wait=False)
    else:
        region.agencies[victim].start(wait=False)
