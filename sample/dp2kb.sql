-- dp2kb, population and family planning: keys that its application counts, capitals, local time without a zone, a status as existence.
CREATE TABLE keluarga_sasaran (
    id_keluarga     serial PRIMARY KEY,
    no_kk           char(16) NOT NULL,
    nama_kepala     varchar(120),
    kd_prov         char(2),
    kd_kab          char(2),
    kd_kec          char(2),
    kd_desa         char(4),
    jml_jiwa        smallint,
    risiko          smallint,                       -- 1 at risk, 2 not, 9 not looked at yet
    tgl_pendataan   timestamp,
    status          varchar(10) NOT NULL DEFAULT 'AKTIF' CHECK (status IN ('AKTIF', 'PINDAH', 'BUBAR')),
    updated_by      varchar(40),                    -- who
    no_sk           varchar(60),                    -- by which decree
    jml_balita      smallint                        -- not mapped
);
CREATE INDEX ON keluarga_sasaran (no_kk);

CREATE TABLE ibu_hamil (
    id              serial PRIMARY KEY,
    nik_ibu         varchar(20) NOT NULL,
    nama            varchar(120),
    kehamilan_ke    smallint NOT NULL,
    hpl             date,                           -- when the child is due
    kunjungan       smallint,
    resiko          char(1) CHECK (resiko IN ('R', 'T')),
    aktif           char(1) NOT NULL DEFAULT 'Y' CHECK (aktif IN ('Y', 'T')),
    updated_by      varchar(40),
    no_sk           varchar(60),
    kader           varchar(80)                     -- not mapped
);
