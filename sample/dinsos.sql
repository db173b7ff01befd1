-- dinsos, the social agency: its own application's table. Flags are Y and T, the village code is kept in parts.
CREATE TABLE penerima_bantuan (
    nik         varchar(16) PRIMARY KEY,
    no_kk       varchar(20),
    nama        varchar(120) NOT NULL,
    tgl_lahir   date,
    jk          char(1) CHECK (jk IN ('L', 'P')),
    kd_prov     char(2),
    kd_kab      char(2),
    kd_kec      char(2),
    kd_desa     char(4),
    alamat      text,
    telepon     varchar(20),
    berhak      char(1) CHECK (berhak IN ('Y', 'T')),
    jml_anggota smallint,
    desil       smallint CHECK (desil BETWEEN 1 AND 10),
    petugas     varchar(40),                        -- not mapped
    diubah      timestamp NOT NULL DEFAULT now()    -- not mapped
);

-- Who takes part in what: one row a person, three programs in columns.
CREATE TABLE kepesertaan_bansos (
    nik           char(16) PRIMARY KEY,
    pkh           char(1) NOT NULL DEFAULT 'T' CHECK (pkh IN ('Y', 'T')),
    pkh_sejak     date,
    pkh_sampai    date,
    pkh_nominal   numeric(12, 2),
    bpnt          char(1) NOT NULL DEFAULT 'T' CHECK (bpnt IN ('Y', 'T')),
    bpnt_sejak    date,
    bpnt_sampai   date,
    bpnt_nominal  numeric(12, 2),
    pbi           char(1) NOT NULL DEFAULT 'T' CHECK (pbi IN ('Y', 'T')),
    pbi_sejak     date,
    pbi_sampai    date,
    pbi_nominal   numeric(12, 2),
    petugas       varchar(40),                      -- who
    no_sk         varchar(60)                       -- by which decree
);

-- Its own budget lines, as its finance clerks keep them; nobody writes there which agency's they are.
CREATE TABLE dpa (
    tahun         smallint,
    kd_urusan     char(1),                          -- 1.06.05.2.02.0001 in parts
    kd_bidang     char(2),
    kd_program    char(2),
    kd_jenis      char(1),
    kd_kegiatan   char(2),
    kd_sub        char(4),
    kd_rekening   varchar(20),
    sumber_dana   varchar(20),
    tahap         char(1) CHECK (tahap IN ('M', 'G', 'P')),
    pagu          numeric(18, 2),
    realisasi     numeric(18, 2),
    PRIMARY KEY (tahun, kd_urusan, kd_bidang, kd_program, kd_jenis, kd_kegiatan, kd_sub, kd_rekening, sumber_dana)
);
