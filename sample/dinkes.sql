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
