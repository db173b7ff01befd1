-- dinkes, the health agency: its own application's table. A generated key, a NIK that is padded, codes in capitals.
CREATE TABLE peserta_jkn (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    nik                 char(20) NOT NULL UNIQUE,
    no_kartu_keluarga   text,
    nama_peserta        text NOT NULL,
    tanggal_lahir       date,
    jenis_kelamin       text CHECK (jenis_kelamin IN ('1', '2')),
    kode_desa           text,
    alamat_lengkap      text,
    no_hp               text,
    berhak_pbi          boolean,
    status_aktif        text CHECK (status_aktif IN ('AKTIF', 'NONAKTIF')),
    jenis_peserta       text CHECK (jenis_peserta IN ('PBI_APBN', 'PBI_APBD', 'MANDIRI', 'TANPA')),
    iuran               numeric(12, 2) CHECK (iuran >= 0),
    jumlah_keluarga     integer,
    desil_kesejahteraan integer CHECK (desil_kesejahteraan BETWEEN 1 AND 10),
    faskes              text,                       -- not mapped: the clinic
    catatan             text                        -- not mapped
);

-- Whose premium it pays: one program's participants, who are nowhere called so.
CREATE TABLE penerima_pbi (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    nik         text NOT NULL UNIQUE,
    mulai       date,
    berakhir    date,
    iuran_bulan numeric(12, 2),
    catatan     text                                -- not mapped
);

-- Mothers whom the health centres see; those who have given birth stay as rows.
CREATE TABLE kohort_ibu (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    nik_ibu           text NOT NULL,
    hamil_ke          integer NOT NULL,
    nama_ibu          text,
    hpl               date,
    kunjungan_k       integer,
    risiko_tinggi     boolean,
    status            text NOT NULL DEFAULT 'HAMIL' CHECK (status IN ('HAMIL', 'BERSALIN', 'PINDAH')),
    puskesmas         text                          -- not mapped
);

-- Families whose small children are measured.
CREATE TABLE keluarga_risiko (
    no_kk             char(16) PRIMARY KEY,
    kepala_keluarga   text,
    kode_desa         text,
    jumlah_jiwa       integer,
    risiko_stunting   boolean,
    disurvei          timestamptz,
    posyandu          text                          -- not mapped
);

CREATE TABLE ref_kegiatan (
    kode              text PRIMARY KEY,
    uraian            text NOT NULL,
    tingkat           text
);

-- Its own budget lines; the year is text here.
CREATE TABLE dpa (
    nomor                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tahun_anggaran       text NOT NULL,
    kode_sub_kegiatan    text NOT NULL,
    kode_rekening        text NOT NULL,
    kode_dana            text NOT NULL,
    tahapan              text CHECK (tahapan IN ('MURNI', 'PERGESERAN', 'PERUBAHAN')),
    pagu_berlaku         numeric,
    realisasi            numeric,
    UNIQUE (tahun_anggaran, kode_sub_kegiatan, kode_rekening, kode_dana)
);
