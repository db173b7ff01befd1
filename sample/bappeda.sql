-- bappeda, the planning agency: codes in parts, capitals, a row for each stage of a budget line, of which one is in force.
CREATE TABLE program (
    kd_urusan   char(1) NOT NULL,
    kd_bidang   char(2) NOT NULL,
    kd_program  char(2) NOT NULL,
    judul       text NOT NULL,
    PRIMARY KEY (kd_urusan, kd_bidang, kd_program)
);

CREATE TABLE kegiatan (
    kd_urusan   char(1) NOT NULL,
    kd_bidang   char(2) NOT NULL,
    kd_program  char(2) NOT NULL,
    kd_jenis    char(1) NOT NULL,
    kd_kegiatan char(2) NOT NULL,
    judul       text NOT NULL,
    sasaran     text,                               -- not mapped
    PRIMARY KEY (kd_urusan, kd_bidang, kd_program, kd_jenis, kd_kegiatan),
    FOREIGN KEY (kd_urusan, kd_bidang, kd_program) REFERENCES program
);

CREATE TABLE pagu_anggaran (
    id          bigserial PRIMARY KEY,
    tahun       smallint NOT NULL,
    kd_skpd     varchar(30) NOT NULL,
    kd_sub      varchar(30) NOT NULL,
    kd_rekening varchar(30) NOT NULL,
    kd_dana     varchar(30) NOT NULL,
    tahap       varchar(12) NOT NULL CHECK (tahap IN ('murni', 'pergeseran', 'perubahan')),
    pagu        numeric(18, 2) NOT NULL CHECK (pagu >= 0),
    realisasi   numeric(18, 2),
    berlaku     boolean NOT NULL DEFAULT true,      -- the stage in force; the others stay for the record
    petugas     varchar(40),
    no_perda    varchar(60),
    UNIQUE (tahun, kd_skpd, kd_sub, kd_rekening, kd_dana, tahap)
);
