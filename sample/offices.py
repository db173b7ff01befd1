"""offices.py: what the five agencies of the sample have beside residents: families, mothers-to-be, who takes part in what, programs and
their budget, and a sub-district's list. Made from the same residents; the same residents give the same bytes.
"""

import datetime
import os
import random
from itertools import groupby

from residents import CLERKS, CLINICS, TODAY, copy_value

DINSOS, DINKES, DP2KB = "1.06.0.00.0.00.01.0000", "1.02.0.00.0.00.01.0000", "2.14.0.00.0.00.01.0000"
YEAR = 2026

# By the national nomenclature: a program has two parts behind the field of government, an activity four.
PROGRAMS = {
    "1.02.02": "PROGRAM PEMENUHAN UPAYA KESEHATAN PERORANGAN DAN UPAYA KESEHATAN MASYARAKAT",
    "1.02.05": "PROGRAM PEMBERDAYAAN MASYARAKAT BIDANG KESEHATAN",
    "1.06.02": "PROGRAM PEMBERDAYAAN SOSIAL",
    "1.06.04": "PROGRAM REHABILITASI SOSIAL",
    "1.06.05": "PROGRAM PERLINDUNGAN DAN JAMINAN SOSIAL",
    "2.14.03": "PROGRAM PEMBINAAN KELUARGA BERENCANA (KB)",
    "2.14.04": "PROGRAM PEMBERDAYAAN DAN PENINGKATAN KELUARGA SEJAHTERA (KS)",
}
ACTIVITIES = {
    "1.02.02.2.02": "Penyediaan Layanan Kesehatan untuk UKM dan UKP Rujukan Tingkat Daerah Kabupaten/Kota",
    "1.06.05.2.02": "Pengelolaan Data Fakir Miskin Cakupan Daerah Kabupaten/Kota",
    "2.14.04.2.01": "Pelaksanaan Pembangunan Keluarga melalui Pembinaan Ketahanan dan Kesejahteraan Keluarga",
}
UNIT_OF = {"1.02": DINKES, "1.06": DINSOS, "2.14": DP2KB}
ACCOUNTS = ["5.1.02.01.01.0024", "5.1.02.02.01.0003", "5.1.02.02.02.0006", "5.1.06.01.01.0001"]
FUNDS = ["1.1.01", "1.2.02"]

TABLES = {
    "kepesertaan_bansos": "nik, pkh, pkh_sejak, pkh_nominal, bpnt, bpnt_sejak, bpnt_nominal, pbi, pbi_sejak, pbi_nominal, petugas, no_sk",
    "penerima_pbi": "nik, mulai, iuran_bulan, catatan",
    "keluarga_risiko": "no_kk, kepala_keluarga, kode_desa, jumlah_jiwa, risiko_stunting, disurvei, posyandu",
    "kohort_ibu": "nik_ibu, hamil_ke, nama_ibu, hpl, kunjungan_k, risiko_tinggi, status, puskesmas",
    "keluarga_sasaran": "no_kk, nama_kepala, kd_prov, kd_kab, kd_kec, kd_desa, jml_jiwa, risiko, tgl_pendataan, status, updated_by, no_sk,"
                        " jml_balita",
    "ibu_hamil": "nik_ibu, nama, kehamilan_ke, hpl, kunjungan, resiko, aktif, updated_by, no_sk, kader",
    "dinsos.dpa": "tahun, kd_urusan, kd_bidang, kd_program, kd_jenis, kd_kegiatan, kd_sub, kd_rekening, sumber_dana, tahap, pagu, realisasi",
    "dinkes.dpa": "tahun_anggaran, kode_sub_kegiatan, kode_rekening, kode_dana, tahapan, pagu_berlaku, realisasi",
    "program": "kd_urusan, kd_bidang, kd_program, judul",
    "kegiatan": "kd_urusan, kd_bidang, kd_program, kd_jenis, kd_kegiatan, judul, sasaran",
    "pagu_anggaran": "tahun, kd_skpd, kd_sub, kd_rekening, kd_dana, tahap, pagu, berlaku, petugas, no_perda",
}


def families(people):
    """Their members, the head first."""
    return [list(members) for _, members in groupby(people, key=lambda person: person.family_card)]


def mothers(people):
    """Women who expect a child: (person, which one, when)."""
    chance = random.Random("selaras mothers")
    found = []
    for person in people:
        age = (TODAY - person.birth_date).days // 365
        if person.female and 18 <= age <= 42 and not person.corrected_nik and chance.random() < 0.2:
            found.append((person, chance.randrange(1, 5), TODAY + datetime.timedelta(days=chance.randrange(5, 240))))
    return found


def clock(day, hour, minute):
    """A moment as a wall clock in Tenggarong shows it."""
    return f"{day} {hour:02}:{minute:02}:00"


def social(people):
    """dinsos: programs in columns."""
    chance, rows = random.Random("selaras social"), []
    for members in families(people):
        for place, person in enumerate(members):
            if not (person.at_dinsos and person.eligible):
                continue
            row = [person.nik]
            for part, monthly in ((place == 0 and person.decile <= 2, "225000.00"), (place == 0 and person.decile <= 3, "200000.00"),
                                  (person.payer != "none", "42000.00")):
                row += ["Y", f"{YEAR}-0{chance.randrange(1, 7)}-01", monthly] if part else ["T", None, None]
            rows.append(row + [chance.choice(CLERKS), f"SK {chance.randrange(1, 40)}/{YEAR}"])
    return rows


def premiums(people, taking_part):
    """dinkes: most of those whom dinsos lists for PBI, some since another day, and a few whom nobody lists."""
    chance, rows = random.Random("selaras premiums"), []
    listed = {row[0]: row[8] for row in taking_part if row[7] == "Y"}
    for person in people:
        if not person.at_dinkes:
            continue
        if person.nik in listed and chance.random() < 0.6:
            rows.append([person.nik, f"{YEAR}-07-01" if chance.random() < 0.1 else listed[person.nik], "42000.00", None])
        elif person.nik not in listed and chance.random() < 0.01:
            rows.append([person.nik, f"{YEAR - 1}-01-01", "42000.00", "usulan desa"])
    return rows


def households(people):
    """What dinkes and what dp2kb have of families: they overlap, and do not say quite the same."""
    chance, health, planning = random.Random("selaras households"), [], []
    for members in families(people):
        head, where, small = members[0], chance.random(), sum((TODAY - p.birth_date).days < 5 * 365 for p in members)
        risk, size = small > 0 and chance.random() < 0.4, len(members)
        day = TODAY - datetime.timedelta(days=chance.randrange(20, 300))
        hour, minute = chance.randrange(8, 15), chance.randrange(60)
        if where < 0.8:
            code = "9" if chance.random() < 0.05 else "1" if risk else "2"
            status = chance.choice(("PINDAH", "BUBAR")) if chance.random() < 0.03 else "AKTIF"
            planning.append([head.family_card, head.name.upper(), *head.village.split("."), size + chance.choice((0, 0, 0, 0, 0, 1)), code,
                             clock(day, hour, minute), status, chance.choice(CLERKS), f"SK {chance.randrange(1, 20)}/{YEAR}", small])
        if where > 0.45:
            later = day + datetime.timedelta(days=chance.choice((0, 0, 0, 9)))
            health.append([head.family_card, head.name, head.village, size, "t" if risk else "f", clock(later, hour, minute) + "+08",
                           chance.choice(("Melati", "Mawar", "Kenanga"))])
    return health, planning


def pregnancies(people):
    chance, health, planning = random.Random("selaras pregnancies"), [], []
    for person, ordinal, due in mothers(people):
        where, visits, risk = chance.random(), chance.randrange(0, 6), chance.random() < 0.2
        if where < 0.75:
            said = due + datetime.timedelta(days=chance.choice((0, 0, 0, 7)))
            planning.append([person.nik, person.name.upper(), ordinal, said, visits, "R" if risk else "T",
                             "T" if chance.random() < 0.05 else "Y", chance.choice(CLERKS), f"SK {chance.randrange(1, 20)}/{YEAR}", None])
        if where > 0.25:
            health.append([person.nik, ordinal, person.name, due, max(0, visits + chance.choice((0, 0, 1, -1))), "t" if risk else "f",
                           "HAMIL", chance.choice(CLINICS)])
    return health, planning


def budget():
    """Lines of the year's budget as bappeda, dinsos and dinkes have them, nearly all in their original stage; of those that were
    shifted the original stays beside them at bappeda. The two agencies have not heard of all, and know alone what they have spent."""
    chance, planning, social, health = random.Random("selaras budget"), [], [], []
    for activity in ACTIVITIES:
        unit = UNIT_OF[activity[:4]]
        for sub in range(1, 6):
            for account in chance.sample(ACCOUNTS, 3):
                line = [YEAR, unit, f"{activity}.{sub:04}", account, chance.choice(FUNDS)]
                ceiling, spent = chance.randrange(20, 9000) * 1_000_000, f"{chance.randrange(0, 20) * 750_000}.00"
                shifted, known = chance.random() < 0.15, chance.random() < 0.8
                planning.append([*line, "murni", f"{ceiling}.00", "f" if shifted else "t", "perencana1", f"Perda 9/{YEAR - 1}"])
                if shifted:
                    planning.append([*line, "pergeseran", f"{ceiling * 9 // 10}.50", "t", "perencana2", f"Perbup 3/{YEAR}"])
                if known and unit == DINSOS:
                    social.append([YEAR, *line[2].split("."), *line[3:], "M", f"{ceiling}.00", spent])
                elif known and unit == DINKES:
                    health.append([YEAR, *line[2:], "MURNI", f"{ceiling}.00", spent])
    return planning, social, health


def sub_district(people, code="64.02.06"):
    """The list of tenggarong: NIK to values by the catalog's fields. Names in capitals; some have moved house or changed their number."""
    chance, rows = random.Random("selaras sub-district"), {}
    for person in people:
        if not person.village.startswith(f"{code}.") or not person.at_dinsos:
            continue
        rows[person.nik] = {
            "family_card": person.family_card, "name": person.name.upper(), "birth_date": str(person.birth_date),
            "sex": "female" if person.female else "male", "village": person.village,
            "address": "Jl. Poros RT 04" if chance.random() < 0.03 else person.address, "phone": person.phone,
            "eligible": "true" if person.eligible else "false"}
    return rows


def write_copy(path, tables):
    with open(path, "w", encoding="utf-8") as file:
        for table, rows in tables.items():
            file.write(f"COPY {table.rpartition('.')[2]} ({TABLES[table]}) FROM stdin;\n")
            for row in rows:
                file.write("\t".join(copy_value(value) for value in row) + "\n")
            file.write("\\.\n")


def write(people, folder):
    """Beside what residents.write() has written: AGENCY.more.copy.sql for psql; returns the sub-district's list."""
    os.makedirs(folder, exist_ok=True)
    taking_part = social(people)
    (health_families, families_there), (health_mothers, mothers_there) = households(people), pregnancies(people)
    planned, lines_of_dinsos, lines_of_dinkes = budget()
    write_copy(f"{folder}/dinsos.more.copy.sql", {"kepesertaan_bansos": taking_part, "dinsos.dpa": lines_of_dinsos})
    write_copy(f"{folder}/dinkes.more.copy.sql", {"penerima_pbi": premiums(people, taking_part), "keluarga_risiko": health_families,
                                                  "kohort_ibu": health_mothers, "dinkes.dpa": lines_of_dinkes})
    write_copy(f"{folder}/dp2kb.more.copy.sql", {"keluarga_sasaran": families_there, "ibu_hamil": mothers_there})
    write_copy(f"{folder}/bappeda.more.copy.sql", {
        "program": [[*code.split("."), title] for code, title in PROGRAMS.items()],
        "kegiatan": [[*code.split("."), title, None] for code, title in ACTIVITIES.items()],
        "pagu_anggaran": planned})
    return sub_district(people)
