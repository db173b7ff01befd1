"""copies.py: how each table of the sample says what the catalog's fields say, a second time, in SQL and independent of the mapping
files, because this is what compares the copies.
"""

from dataclasses import dataclass

# Fields that dinsos and dinkes both hold of a resident, in the order of comparison, and those of dinkes alone.
COMMON = ["nik", "family_card", "name", "birth_date", "sex", "village", "address", "phone", "eligible",
          "household_size", "welfare_decile"]
HEALTH = ["covered", "payer", "premium"]
LETTERS = {"resident": {"name"}, "household": {"head"}, "pregnancy": {"name"}}     # spelt as each likes

TRANSLATED = {
    "dinsos": """
        SELECT nik::text AS nik, btrim(no_kk) AS family_card, nama::text AS name, tgl_lahir::text AS birth_date,
               CASE jk WHEN 'L' THEN 'male' WHEN 'P' THEN 'female' END AS sex,
               kd_prov || '.' || kd_kab || '.' || kd_kec || '.' || kd_desa AS village, alamat AS address,
               telepon::text AS phone, CASE berhak WHEN 'Y' THEN 'true' WHEN 'T' THEN 'false' END AS eligible,
               jml_anggota::text AS household_size, desil::text AS welfare_decile
        FROM penerima_bantuan""",
    "dinkes": """
        SELECT btrim(nik::text) AS nik, no_kartu_keluarga AS family_card, nama_peserta AS name,
               tanggal_lahir::text AS birth_date,
               CASE jenis_kelamin WHEN '1' THEN 'male' WHEN '2' THEN 'female' END AS sex, kode_desa AS village,
               alamat_lengkap AS address, no_hp AS phone, berhak_pbi::text AS eligible,
               jumlah_keluarga::text AS household_size, desil_kesejahteraan::text AS welfare_decile,
               CASE status_aktif WHEN 'AKTIF' THEN 'true' WHEN 'NONAKTIF' THEN 'false' END AS covered,
               CASE jenis_peserta WHEN 'PBI_APBN' THEN 'pbi-apbn' WHEN 'PBI_APBD' THEN 'pbi-apbd'
                                  WHEN 'MANDIRI' THEN 'self' WHEN 'TANPA' THEN 'none' END AS payer, iuran::text AS premium
        FROM peserta_jkn""",
}


@dataclass
class Copy:
    """What one agency holds of a record type: its tables, the fields, and of which records (`of`, on the canonical table)."""
    type: str
    tables: str
    fields: list
    sql: str
    of: str = "true"


UNITS = {"dinsos": "1.06.0.00.0.00.01.0000", "dinkes": "1.02.0.00.0.00.01.0000"}
ENROLMENT = ["nik", "program", "since", "until", "amount"]
HOUSEHOLD = ["family_card", "head", "village", "members", "stunting_risk", "surveyed"]
PREGNANCY = ["mother", "ordinal", "name", "due", "visits", "at_risk"]
BUDGET = ["year", "unit", "sub_activity", "account", "fund", "stage", "ceiling", "spent"]

COPIES = {
    "dinsos": [
        Copy("resident", "penerima_bantuan", COMMON, TRANSLATED["dinsos"]),
        Copy("enrolment", "kepesertaan_bansos", ENROLMENT, " UNION ALL ".join(
            f"SELECT nik::text AS nik, '{name.upper()}' AS program, {name}_sejak AS since, {name}_sampai AS until,"
            f" {name}_nominal AS amount FROM kepesertaan_bansos WHERE {name} = 'Y'" for name in ("pkh", "bpnt", "pbi"))),
        Copy("budget", "dpa", BUDGET, f"""
            SELECT tahun AS year, '{UNITS["dinsos"]}' AS unit,
                   concat_ws('.', kd_urusan, kd_bidang, kd_program, kd_jenis, kd_kegiatan, kd_sub) AS sub_activity,
                   kd_rekening AS account, sumber_dana AS fund,
                   CASE tahap WHEN 'M' THEN 'original' WHEN 'G' THEN 'shifted' WHEN 'P' THEN 'revised' END AS stage,
                   pagu AS ceiling, realisasi AS spent
            FROM dpa""", f"unit = '{UNITS['dinsos']}'"),
    ],
    "dinkes": [
        Copy("resident", "peserta_jkn", COMMON + HEALTH, TRANSLATED["dinkes"]),
        Copy("enrolment", "penerima_pbi", ENROLMENT, """
            SELECT nik, 'PBI' AS program, mulai AS since, berakhir AS until, iuran_bulan AS amount FROM penerima_pbi""",
             "program = 'PBI'"),
        Copy("household", "keluarga_risiko", HOUSEHOLD, """
            SELECT no_kk::text AS family_card, kepala_keluarga AS head, kode_desa AS village, jumlah_jiwa AS members,
                   risiko_stunting::text AS stunting_risk, extract(epoch FROM disurvei)::bigint AS surveyed
            FROM keluarga_risiko"""),
        Copy("pregnancy", "kohort_ibu", PREGNANCY, """
            SELECT nik_ibu AS mother, hamil_ke AS ordinal, nama_ibu AS name, hpl AS due, kunjungan_k AS visits,
                   risiko_tinggi::text AS at_risk
            FROM kohort_ibu WHERE status = 'HAMIL'"""),
        Copy("program", "ref_kegiatan", ["code", "title", "level"], """
            SELECT kode AS code, uraian AS title, CASE tingkat WHEN 'P' THEN 'program' WHEN 'K' THEN 'activity' END AS level
            FROM ref_kegiatan"""),
        Copy("budget", "dpa", BUDGET, f"""
            SELECT tahun_anggaran AS year, '{UNITS["dinkes"]}' AS unit, kode_sub_kegiatan AS sub_activity,
                   kode_rekening AS account, kode_dana AS fund,
                   CASE tahapan WHEN 'MURNI' THEN 'original' WHEN 'PERGESERAN' THEN 'shifted' WHEN 'PERUBAHAN' THEN 'revised'
                   END AS stage, pagu_berlaku::numeric(18, 2) AS ceiling, realisasi::numeric(18, 2) AS spent
            FROM dpa""", f"unit = '{UNITS['dinkes']}'"),
    ],
    "dp2kb": [
        Copy("household", "keluarga_sasaran", HOUSEHOLD, """
            SELECT no_kk::text AS family_card, btrim(nama_kepala) AS head,
                   kd_prov || '.' || kd_kab || '.' || kd_kec || '.' || kd_desa AS village, jml_jiwa AS members,
                   CASE risiko WHEN 1 THEN 'true' WHEN 2 THEN 'false' END AS stunting_risk,
                   extract(epoch FROM tgl_pendataan AT TIME ZONE 'Asia/Makassar')::bigint AS surveyed
            FROM keluarga_sasaran WHERE status = 'AKTIF'"""),
        Copy("pregnancy", "ibu_hamil", PREGNANCY, """
            SELECT btrim(nik_ibu) AS mother, kehamilan_ke AS ordinal, btrim(nama) AS name, hpl AS due, kunjungan AS visits,
                   CASE resiko WHEN 'R' THEN 'true' WHEN 'T' THEN 'false' END AS at_risk
            FROM ibu_hamil WHERE aktif = 'Y'"""),
    ],
    "bappeda": [
        Copy("program", "program, kegiatan", ["code", "title", "level"], """
            SELECT concat_ws('.', kd_urusan, kd_bidang, kd_program) AS code, judul AS title, 'program' AS level FROM program
            UNION ALL SELECT concat_ws('.', kd_urusan, kd_bidang, kd_program, kd_jenis, kd_kegiatan), judul, 'activity'
            FROM kegiatan"""),
        Copy("budget", "pagu_anggaran", BUDGET, """
            SELECT tahun AS year, kd_skpd AS unit, kd_sub AS sub_activity, kd_rekening AS account, kd_dana AS fund,
                   CASE tahap WHEN 'murni' THEN 'original' WHEN 'pergeseran' THEN 'shifted' WHEN 'perubahan' THEN 'revised'
                   END AS stage, pagu AS ceiling, realisasi AS spent
            FROM pagu_anggaran WHERE berlaku"""),
    ],
}


def compared(record_type, field, canonical):
    """An expression for a field as it is compared: a name by its letters, a moment by its seconds."""
    if field == "surveyed" and canonical:
        return f"extract(epoch FROM {field})::bigint::text"
    if field in LETTERS.get(record_type, ()):
        return f"upper(regexp_replace({field}, '[^[:alnum:]]', '', 'g'))"
    return f"{field}::text"


def digest(copy, translated, canonical=False):
    """One line a record, in byte order, hashed; and how many."""
    row = ", ".join(f"coalesce({compared(copy.type, field, canonical)}, '<null>')" for field in copy.fields)
    return ("SELECT coalesce(md5(string_agg(line, E'\\n' ORDER BY line COLLATE \"C\")), 'empty'), count(*)"
            f" FROM (SELECT concat_ws('|', {row}) AS line FROM ({translated}) AS t) AS l")


def digests(copies):
    """All copies of one agency's database, in order."""
    return " UNION ALL ".join(f"SELECT {number}, d.* FROM ({digest(copy, copy.sql)}) AS d" for number, copy in enumerate(copies))


def canonical_digests(copies):
    """The same of the broker's."""
    return " UNION ALL ".join(
        "SELECT {}, d.* FROM ({}) AS d".format(number, digest(copy, f"SELECT * FROM selaras.{copy.type} WHERE exists AND {copy.of}", True))
        for number, copy in enumerate(copies))
