-- The treasury: another schema, its own names and types, no programs yet.
CREATE SCHEMA keu;
CREATE TABLE keu.ref_program (
    kd        text PRIMARY KEY,
    uraian    varchar(200) NOT NULL,
    status    boolean,
    kategori  text
);
CREATE TABLE keu.anggaran (
    no_baris   text PRIMARY KEY,
    prog       text,
    pagu_rp    numeric,
    realisasi  numeric,
    ta         integer NOT NULL,
    sk         timestamp
);
INSERT INTO keu.anggaran SELECT 'B' || lpad(i::text, 5, '0'), NULL, i * 1000000, i * 500000, 2026, NULL FROM generate_series(20, 50) AS i;
