#!/usr/bin/python3
"""residents.py: makes residents of the sample regency from a seed, and what dinsos and dinkes know of each.

The same count and seed give the same bytes. Nobody here exists: names are put together at random. What both agencies know of one
person has the same identity number, also where that number is wrong; other values differ here and there.

    residents.py --count 2000 --seed 1 --out FOLDER     writes dinsos.copy.sql, dinkes.copy.sql and corrections.csv
"""

import argparse
import csv
import datetime
import os
import random
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))
TODAY = datetime.date(2026, 11, 20)

SYLLABLES = ["sa", "ri", "wa", "ti", "na", "ra", "di", "ma", "lu", "ka", "yu", "ni", "su", "pa", "la", "mi", "ha", "ru", "jo",
             "bu", "ga", "tu", "wi", "ra", "ya", "ci", "no", "da", "ke"]
MALE_WORDS = ["Bagus", "Cahya", "Dermawan", "Elang", "Fajar", "Guntur", "Harapan", "Jaya", "Langit", "Mulia", "Perkasa",
              "Raharja", "Samudra", "Teguh", "Wibawa", "Setia"]
FEMALE_WORDS = ["Anggrek", "Bulan", "Cempaka", "Dahlia", "Embun", "Intan", "Kartika", "Lestari", "Melati", "Mutiara",
                "Pelangi", "Puspa", "Rahayu", "Sekar", "Wulan", "Kenanga"]
STREETS = ["Jl. Mahakam", "Jl. Danau Semayang", "Jl. Kedaton", "Jl. Pesut", "Jl. Naga", "Jl. Sepakat", "Gg. Mawar", "Gg. Damai",
           "Jl. Gunung Sentul", "Jl. Belida", "Jl. Ulin"]
CLERKS = ["petugas03", "petugas11", "petugas17", "petugas24"]
CLINICS = ["Puskesmas Rapak Mahang", "Puskesmas Loa Ipuh", "Puskesmas Teluk Dalam", "Klinik Kota Bangun", None]


@dataclass
class Person:
    nik: str
    family_card: str
    name: str
    birth_date: datetime.date
    female: bool
    village: str
    address: str
    phone: str | None
    household_size: int
    decile: int
    eligible: bool
    payer: str
    premium: str | None
    at_dinsos: bool
    at_dinkes: bool
    corrected_nik: str | None = None      # the right one, where `nik` is wrong
    clinic: str | None = None
    dinkes_knows: dict = field(default_factory=dict)    # where dinkes says it differently


def read_regions(path=f"{HERE}/wilayah.csv"):
    """(districts, villages of each district), codes with points; one regency."""
    villages = {}
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            parts = row["code"].split(".")
            if len(parts) == 3:
                villages[row["code"]] = []
            elif len(parts) == 4:
                villages[".".join(parts[:3])].append(row["code"])
    return list(villages), villages


class Maker:
    """Draws everything from one random source, in one order."""

    def __init__(self, seed):
        self.random = random.Random(f"selaras residents {seed}")
        self.districts, self.villages = read_regions()
        self.taken = set()
        self.serials = {}

    def nik(self, district, born, female):
        day = born.day + (40 if female else 0)
        head = district.replace(".", "") + f"{day:02}{born.month:02}{born.year % 100:02}"
        serial = self.serials.get(head, 0) + 1
        self.serials[head] = serial
        nik = f"{head}{serial:04}"
        assert nik not in self.taken
        self.taken.add(nik)
        return nik

    def wrong_nik(self, nik):
        """What a hurried clerk types: two neighbouring digits exchanged. Free, and not the same."""
        for place in self.random.sample(range(6, 15), 9):
            digits = list(nik)
            digits[place], digits[place + 1] = digits[place + 1], digits[place]
            wrong = "".join(digits)
            if wrong not in self.taken:
                self.taken.add(wrong)
                return wrong
        return None

    def family_card(self, district, founded):
        head = district.replace(".", "") + founded.strftime("%d%m%y")
        serial = self.serials.get("card" + head, 0) + 1
        self.serials["card" + head] = serial
        return f"{head}{serial:04}"

    def name(self, female):
        first = "".join(self.random.choice(SYLLABLES) for _ in range(self.random.choice((2, 2, 3)))).capitalize()
        last = self.random.choice(FEMALE_WORDS if female else MALE_WORDS)
        if self.random.random() < 0.25:
            last += " " + "".join(self.random.choice(SYLLABLES) for _ in range(2)).capitalize()
        return f"{first} {last}"

    def birth_date(self, least, most):
        return TODAY - datetime.timedelta(days=self.random.randrange(least * 365, most * 365 + 365))

    def phone(self):
        return f"0810{self.random.randrange(10 ** 8):08}"

    def family(self, most):
        """One household: the same card, place and standing; its members' own numbers and names."""
        chance = self.random
        size = min(most, chance.choice((1, 2, 3, 3, 4, 4, 5, 6)))
        district = chance.choice(self.districts)
        village = chance.choice(self.villages[district])
        card = self.family_card(district, self.birth_date(1, 25))
        address = f"{chance.choice(STREETS)} No. {chance.randrange(1, 180)} RT {chance.randrange(1, 30):02}"
        decile = min(10, 1 + int(chance.expovariate(0.35)))
        eligible = decile <= 4
        payer = chance.choice(("pbi-apbn", "pbi-apbd")) if eligible else chance.choice(("self", "self", "none"))
        where = chance.random()     # half is known to both
        at_dinsos, at_dinkes = where < 0.76, where >= 0.24
        people = []
        for place in range(size):
            female = chance.random() < 0.5
            born = self.birth_date(22, 70) if place < 2 else self.birth_date(0, 21)
            home = district if chance.random() < 0.92 else chance.choice(self.districts)
            adult = (TODAY - born).days > 17 * 365
            people.append(Person(
                nik=self.nik(home, born, female), family_card=card, name=self.name(female), birth_date=born, female=female,
                village=village, address=address, phone=self.phone() if adult and chance.random() < 0.7 else None,
                household_size=size, decile=decile, eligible=eligible, payer=payer,
                premium={"pbi-apbn": "42000.00", "pbi-apbd": "42000.00", "self": "35000.00", "none": None}[payer],
                at_dinsos=at_dinsos, at_dinkes=at_dinkes, clinic=chance.choice(CLINICS)))
        return people

    def differ(self, person):
        """Where the health agency's list says something else than the social agency's."""
        chance, knows = self.random, person.dinkes_knows
        if chance.random() < 0.05:
            knows["address"] = person.address.replace("Jl. ", "JALAN ").replace("Gg. ", "GANG ").upper()
        if chance.random() < 0.05:
            knows["phone"] = self.phone()
        if chance.random() < 0.04:
            knows["household_size"] = person.household_size + chance.choice((-1, 1, 2))
        if chance.random() < 0.04:
            knows["decile"] = max(1, min(10, person.decile + chance.choice((-2, -1, 1, 2))))
        if chance.random() < 0.06:
            knows["eligible"] = not person.eligible
        if chance.random() < 0.02:
            knows["name"] = person.name.upper()


def generate(count, seed):
    """`count` people, families together."""
    maker = Maker(seed)
    people = []
    while len(people) < count:
        people += maker.family(count - len(people))
    for person in people:
        if person.at_dinsos and person.at_dinkes:
            maker.differ(person)
    both = [person for person in people if person.at_dinsos and person.at_dinkes]
    for person in maker.random.sample(both, min(len(both), max(3, count // 200))):
        wrong = maker.wrong_nik(person.nik)
        if wrong:
            person.corrected_nik, person.nik = person.nik, wrong
    return people


def copy_value(value):
    """One value as COPY's text format reads it."""
    if value is None:
        return r"\N"
    return str(value).replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n")


def dinsos_row(person, clerk):
    province, regency, district, village = person.village.split(".")
    return [person.nik, person.family_card, person.name, person.birth_date, "P" if person.female else "L", province, regency,
            district, village, person.address, person.phone, "Y" if person.eligible else "T", person.household_size,
            person.decile, clerk]


def dinkes_row(person):
    """Who is known to dinkes alone has no family card there and nothing on entitlement: those are dinsos's to say."""
    def known(name):
        return person.dinkes_knows.get(name, getattr(person, name))
    alone = not person.at_dinsos
    payer = {"pbi-apbn": "PBI_APBN", "pbi-apbd": "PBI_APBD", "self": "MANDIRI", "none": "TANPA"}[person.payer]
    return [person.nik, None if alone else person.family_card, known("name"), person.birth_date, "2" if person.female else "1",
            person.village, known("address"), known("phone"), None if alone else ("t" if known("eligible") else "f"),
            "NONAKTIF" if payer == "TANPA" else "AKTIF", payer, person.premium, known("household_size"), known("decile"),
            person.clinic]


COLUMNS = {
    "dinsos": "penerima_bantuan (nik, no_kk, nama, tgl_lahir, jk, kd_prov, kd_kab, kd_kec, kd_desa, alamat, telepon, berhak,"
              " jml_anggota, desil, petugas)",
    "dinkes": "peserta_jkn (nik, no_kartu_keluarga, nama_peserta, tanggal_lahir, jenis_kelamin, kode_desa, alamat_lengkap,"
              " no_hp, berhak_pbi, status_aktif, jenis_peserta, iuran, jumlah_keluarga, desil_kesejahteraan, faskes)",
}


def write_copy(path, agency, rows):
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"COPY {COLUMNS[agency]} FROM stdin;\n")
        for row in rows:
            file.write("\t".join(copy_value(value) for value in row) + "\n")
        file.write("\\.\n")


def write(people, folder):
    """dinsos.copy.sql and dinkes.copy.sql for psql, corrections.csv (wrong,right): their paths."""
    os.makedirs(folder, exist_ok=True)
    chance = random.Random("selaras clerks")
    write_copy(f"{folder}/dinsos.copy.sql", "dinsos",
               [dinsos_row(person, chance.choice(CLERKS)) for person in people if person.at_dinsos])
    write_copy(f"{folder}/dinkes.copy.sql", "dinkes", [dinkes_row(person) for person in people if person.at_dinkes])
    with open(f"{folder}/corrections.csv", "w", encoding="utf-8") as file:
        file.write("wrong,right\n")
        for person in people:
            if person.corrected_nik:
                file.write(f"{person.nik},{person.corrected_nik}\n")


def main():
    arguments = argparse.ArgumentParser(description="Makes residents of the sample regency.")
    arguments.add_argument("--count", type=int, default=2000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--out", required=True, help="folder to write to")
    options = arguments.parse_args()
    people = generate(options.count, options.seed)
    write(people, options.out)
    print(f"{len(people)} residents: {sum(p.at_dinsos for p in people)} at dinsos, {sum(p.at_dinkes for p in people)} at dinkes,"
          f" {sum(p.at_dinsos and p.at_dinkes for p in people)} at both, {sum(bool(p.corrected_nik) for p in people)} with a"
          " wrong number")


if __name__ == "__main__":
    main()
