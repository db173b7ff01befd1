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
