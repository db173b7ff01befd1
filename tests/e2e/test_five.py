"""All five agencies of the sample, each with its habits: they come apart and in step again, and kill -9 changes nothing about that."""

import os
import random

import pytest

import residents
from cluster import wait_for
from copies import COPIES
from region import ALL, Region

SEED = int(os.environ.get("SELARAS_SEED", "3"))


@pytest.fixture(scope="module")
def region():
    made = Region(agencies=ALL)
    for server in [made.postgres, *(agency.postgres for agency in made.databases().values())]:
        server.settings["fsync"] = "off"        # the machine never crashes
    try:
        made.create_sample(residents.generate(300, SEED))
        made.configure(fence_interval="250ms", retry_interval="250ms")
        made.start()
        made.wait_in_step()
        yield made
    finally:
        made.end()


# One row of each table, another value than it has.
APART = {
    "penerima_bantuan": "UPDATE penerima_bantuan SET alamat = 'Jl. Lain' WHERE nik = (SELECT min(nik) FROM penerima_bantuan)",
    "kepesertaan_bansos": "UPDATE kepesertaan_bansos SET pbi = 'T' WHERE nik = (SELECT min(nik) FROM kepesertaan_bansos WHERE pbi = 'Y')",
    "dpa of dinsos": "UPDATE dpa SET realisasi = 1 WHERE (kd_rekening, kd_sub) = (SELECT kd_rekening, kd_sub FROM dpa LIMIT 1)",
    "peserta_jkn": "UPDATE peserta_jkn SET iuran = 1 WHERE id = (SELECT min(id) FROM peserta_jkn)",
    "penerima_pbi": "UPDATE penerima_pbi SET mulai = '2020-02-02' WHERE id = (SELECT min(id) FROM penerima_pbi)",
    "keluarga_risiko": "UPDATE keluarga_risiko SET risiko_stunting = risiko_stunting IS NOT TRUE"
                       " WHERE no_kk = (SELECT min(no_kk) FROM keluarga_risiko)",
    "kohort_ibu": "UPDATE kohort_ibu SET hpl = '2026-12-31' WHERE id = (SELECT min(id) FROM kohort_ibu WHERE status = 'HAMIL')",
    "ref_kegiatan": "UPDATE ref_kegiatan SET uraian = 'Lain' WHERE kode = (SELECT min(kode) FROM ref_kegiatan)",
    "dpa of dinkes": "UPDATE dpa SET realisasi = 1 WHERE nomor = (SELECT min(nomor) FROM dpa)",
    "keluarga_sasaran": "UPDATE keluarga_sasaran SET jml_jiwa = 40 WHERE id_keluarga ="
                        " (SELECT min(id_keluarga) FROM keluarga_sasaran WHERE status = 'AKTIF')",
    "ibu_hamil": "UPDATE ibu_hamil SET kunjungan = 30 WHERE id = (SELECT min(id) FROM ibu_hamil WHERE aktif = 'Y')",
    "program, kegiatan": "UPDATE kegiatan SET judul = 'Kegiatan lain' WHERE kd_urusan = '2'",
    "pagu_anggaran": "UPDATE pagu_anggaran SET pagu = 1 WHERE id = (SELECT min(id) FROM pagu_anggaran WHERE berlaku)",
}


def test_each_table_that_is_not_in_step_is_named(region):
    for agency in region.agencies.values():
        agency.stop()
    tables = [(name, copy.tables) for name, copies in COPIES.items() for copy in copies]
    for name, table in tables:
        region.agencies[name].query(APART.get(table) or APART[f"{table} of {name}"])
    to_correct = {line["key"] for line in region.tenggarong.corrections()}
    region.tenggarong.put(next(nik for nik in region.tenggarong.rows if nik not in to_correct), phone="081012121212")
    found = region.differences()
    for name, table in tables:
        assert [text for text in found if text.startswith(f"{name} has") and f" in {table} " in text], (name, table, found)
    assert [text for text in found if text.startswith("tenggarong: ")] and len(found) == len(tables) + 1
    for agency in region.agencies.values():
        agency.start(wait=False)
    region.tenggarong.save()
    region.wait_in_step()
    assert region.parked() == [] and region.audit_problems() == []
    assert region.dinkes.value("SELECT count(*) FROM ref_kegiatan WHERE uraian = 'Kegiatan lain'") == "1"
    assert region.bappeda.value("SELECT judul FROM program ORDER BY 1 LIMIT 1") != "Lain"


class Offices:
    """What people at each of the five do, at random; no value was ever there before."""

    def __init__(self, region, seed):
        self.region, self.random, self.serial = region, random.Random(f"five {seed}"), 1000
        self.niks = [row[0] for row in region.query("SELECT nik FROM selaras.resident WHERE exists ORDER BY nik LIMIT 40")]
        self.cards = [row[0] for row in region.query("SELECT family_card FROM selaras.household WHERE exists ORDER BY 1 LIMIT 12")]
        self.new_card = self.cards[0]
        self.listed = list(region.tenggarong.rows)

    def number(self):
        self.serial += 1
        return self.serial

    def card_of_its_own(self):
        """Of a family that is new, which dp2kb lists first: dinkes may list it too, before it has heard of it."""
        self.new_card = f"64020601012{self.number():05}"
        return self.new_card

    def dinsos(self):
        nik = self.random.choice(self.niks)
        return self.random.choice([
            f"UPDATE penerima_bantuan SET telepon = '0810{self.number():08}' WHERE nik = '{nik}'",
            f"UPDATE penerima_bantuan SET alamat = 'Jl. {self.number()}' WHERE nik IN ('{nik}', '{self.random.choice(self.niks)}')",
            f"INSERT INTO kepesertaan_bansos (nik, pkh, bpnt, pbi, pbi_nominal) VALUES ('{nik}', 'Y', 'Y', 'Y', {self.number()})"
            f" ON CONFLICT (nik) DO UPDATE SET pbi = CASE kepesertaan_bansos.pbi WHEN 'Y' THEN 'T' ELSE 'Y' END, pbi_nominal = {self.number()}",
            f"UPDATE dpa SET realisasi = {self.number()} WHERE kd_sub = '000{self.random.randrange(1, 6)}'",
            "CREATE TEMP TABLE n AS TABLE kepesertaan_bansos; DELETE FROM kepesertaan_bansos; INSERT INTO kepesertaan_bansos TABLE n"])

    def dinkes(self):
        nik, card = self.random.choice(self.niks), self.random.choice(self.cards)
        return self.random.choice([
            f"UPDATE peserta_jkn SET no_hp = '0810{self.number():08}', berhak_pbi = NULL WHERE nik = '{nik}'",
            f"UPDATE keluarga_risiko SET jumlah_jiwa = {self.number()}, kepala_keluarga = 'Kepala {self.number()}' WHERE no_kk = '{card}'",
            f"DELETE FROM keluarga_risiko WHERE no_kk = '{card}'",
            f"INSERT INTO kohort_ibu (nik_ibu, hamil_ke, hpl) VALUES ('{nik}', {self.number()}, '2027-01-01')",
            f"INSERT INTO keluarga_risiko (no_kk, jumlah_jiwa) VALUES ('{self.new_card}', 3) ON CONFLICT (no_kk) DO NOTHING",
            f"UPDATE kohort_ibu SET kunjungan_k = {self.number()} WHERE id % 3 = 0 AND status = 'HAMIL'",
            "UPDATE kohort_ibu SET status = 'PINDAH' WHERE id = (SELECT max(id) FROM kohort_ibu WHERE status = 'HAMIL')",
            f"UPDATE dpa SET realisasi = {self.number()} WHERE kode_sub_kegiatan LIKE '%{self.random.randrange(1, 6)}'",
            "UPDATE penerima_pbi SET iuran_bulan = 7 WHERE id % 50 = 1"])

    def dp2kb(self):
        nik, card = self.random.choice(self.niks), self.random.choice(self.cards)
        return self.random.choice([
            f"UPDATE keluarga_sasaran SET jml_jiwa = {self.number()}, nama_kepala = 'KEPALA {self.number()}', updated_by = 'kader1'"
            f" WHERE no_kk = '{card}'",
            f"UPDATE keluarga_sasaran SET tgl_pendataan = '2026-11-21 08:00:00'::timestamp + interval '{self.number()} s' WHERE no_kk = '{card}'",
            f"UPDATE keluarga_sasaran SET status = 'PINDAH' WHERE no_kk = '{card}'",
            f"INSERT INTO keluarga_sasaran (no_kk, nama_kepala, jml_jiwa) VALUES ('{self.card_of_its_own()}', 'KEPALA BARU', 2)",
            f"INSERT INTO ibu_hamil (nik_ibu, nama, kehamilan_ke, hpl) VALUES ('{nik}', 'IBU', {self.number()}, '2027-02-02')",
            "UPDATE ibu_hamil SET aktif = 'T' WHERE id = (SELECT max(id) FROM ibu_hamil WHERE aktif = 'Y')"])

    def bappeda(self):
        sub = self.random.randrange(1, 6)
        return self.random.choice([
            f"UPDATE pagu_anggaran SET pagu = {self.number()} WHERE berlaku AND kd_sub LIKE '%{sub}'",
            f"UPDATE kegiatan SET judul = 'Kegiatan {self.number()}' WHERE kd_urusan = '{self.random.randrange(1, 3)}'",
            f"DELETE FROM pagu_anggaran WHERE tahap = 'perubahan' AND kd_sub LIKE '%{sub}' AND NOT berlaku; WITH old AS (UPDATE pagu_anggaran"
            f" SET berlaku = false WHERE berlaku AND tahap = 'murni' AND kd_sub LIKE '%{sub}' RETURNING *) INSERT INTO pagu_anggaran"
            " (tahun, kd_skpd, kd_sub, kd_rekening, kd_dana, tahap, pagu) SELECT tahun, kd_skpd, kd_sub, kd_rekening, kd_dana, 'perubahan',"
            f" {self.number()} FROM old"])

    def tenggarong(self):
        """A list that was saved before the broker or its agent is back waits in the folder."""
        self.region.tenggarong.put(self.random.choice(self.listed), phone=f"0810{self.number():08}")
        self.region.tenggarong.save(wait=False)

    def work(self):
        name = self.random.choice(ALL)
        sql = getattr(self, name)()
        if sql:
            self.region.agencies[name].query(sql)


def test_killed_while_all_five_work_all_end_in_step(region):
    offices, clock = Offices(region, SEED), random.Random(SEED)
    for victim in clock.sample(["broker", *ALL], 6):
        for _ in range(clock.randrange(5, 12)):
            offices.work()
        (region.broker if victim == "broker" else region.agencies[victim].agent).kill()
        for _ in range(clock.randrange(3, 8)):
            offices.work()
        if victim == "broker":
            region.start_broker(wait=False)
        else:
            region.agencies[victim].start(wait=False)
    wait_for("every list was taken", lambda: not [name for name in os.listdir(region.tenggarong.folder) if name.endswith(".csv")], 60)
    region.wait_in_step(30)
    assert region.parked() == []
    assert region.audit_problems() == []
    wait_for("nothing is owed to anybody", lambda: region.value("SELECT count(*) FROM selaras.debt WHERE settled IS NULL") == "0")
