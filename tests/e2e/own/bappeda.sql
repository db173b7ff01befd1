-- The planning agency: upper-case names, serial keys that nobody maps, the year as text.
CREATE TABLE program (
    kode     varchar(20) PRIMARY KEY,
    judul    text NOT NULL,
    aktif    char(1) NOT NULL DEFAULT 'Y',
    jenis    smallint,
    catatan  text
);
CREATE TABLE "Pagu" (
    id            bigserial PRIMARY KEY,
    "NoBaris"     char(12) NOT NULL UNIQUE,
    kode_program  varchar(20),
    pagu          numeric(18,2),
    tahun         char(4),
    tgl_sk        date
);
INSERT INTO program SELECT '1.0' || i || '.01', 'Program ' || i, 'Y', 1 + i % 3 FROM generate_series(1, 9) AS i;
INSERT INTO "Pagu" ("NoBaris", kode_program, pagu, tahun, tgl_sk)
SELECT 'B' || lpad(i::text, 5, '0'), '1.0' || (1 + i % 9) || '.01', i * 1000000.50, '2026', '2026-01-15' FROM generate_series(1, 30) AS i;
