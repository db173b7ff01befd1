#include "agents/csv/refusal.h"

#include <inttypes.h>
#include <string.h>

/* {lines}, {column}, {title}, {n} and {m} stand for what the reason holds. */
static const struct {
    const char *indonesian, *english;
} texts[REFUSAL_KIND_COUNT] = {
    [REFUSAL_NAME] = { "nama berkas ini bukan nama salah satu daftar; yang dikenal: {title}",
                       "no list has such a name; known are: {title}" },
    [REFUSAL_LARGE] = { "berkas lebih besar dari {n} MiB", "the file is larger than {n} MiB" },
    [REFUSAL_OLDER] = { "berkas ini lebih lama dari daftar yang sudah diterima; buka daftar terbaru dan simpan lagi",
                        "this file is older than the list that was taken last; open the newest list and save it "
                        "again" },
    [REFUSAL_WORKBOOK] = { "buku kerja .xlsx ini tidak dapat dibaca: rusak, berkata sandi, atau halamannya tidak ada; "
                           "simpan lagi, atau simpan sebagai CSV",
                           "this .xlsx workbook cannot be read: it is damaged, has a password, or no such page; save "
                           "it "
                           "again, or save it as CSV" },
    [REFUSAL_WORKBOOK_HEAVY] = { "buku kerja .xlsx ini terlalu besar untuk dibaca; simpan sebagai CSV",
                                 "this .xlsx workbook is too large to be read; save it as CSV" },
    [REFUSAL_NO_CONVERTER] = { "buku kerja .xlsx belum dapat dibaca di sini: pengelola sistem harus memasang xlsx2csv; "
                               "sementara itu simpan sebagai CSV",
                               "no .xlsx workbook can be read here: the sysadmin must install xlsx2csv; save it as CSV "
                               "until then" },
    [REFUSAL_UTF16] = { "berkas ini teks UTF-16; simpan sebagai \"CSV UTF-8\"",
                        "this file is UTF-16 text; save it as \"CSV UTF-8\"" },
    [REFUSAL_MIXED] = { "{lines}, huruf ke-{column}: huruf UTF-8 dan Windows-1252 tercampur; simpan sebagai \"CSV "
                        "UTF-8\"",
                        "{lines}, character {column}: UTF-8 and Windows-1252 are mixed; save it as \"CSV UTF-8\"" },
    [REFUSAL_BYTE] = { "{lines}, huruf ke-{column}: bukan huruf Windows-1252; simpan sebagai \"CSV UTF-8\"",
                       "{lines}, character {column}: no letter of Windows-1252; save it as \"CSV UTF-8\"" },
    [REFUSAL_NUL] = { "{lines}, huruf ke-{column}: huruf kosong (NUL); berkas ini rusak",
                      "{lines}, character {column}: a NUL character; this file is broken" },
    [REFUSAL_LINE_LONG] = { "{lines}: baris lebih panjang dari {n} KiB", "{lines}: longer than {n} KiB" },
    [REFUSAL_CUT] = { "{lines}: berkas berakhir di tengah baris; apakah terpotong saat disalin? Simpan dan salin lagi",
                      "{lines}: the file ends in the middle of it; was it cut off while it was copied? Save and copy "
                      "it "
                      "again" },
    [REFUSAL_QUOTE] = { "{lines}, kolom {column}: tanda kutip (\") di tempat yang salah",
                        "{lines}, column {column}: a quotation mark (\") in a wrong place" },
    [REFUSAL_QUOTE_OPEN] = { "{lines}, kolom {column}: tanda kutip (\") dibuka tetapi tidak ditutup",
                             "{lines}, column {column}: a quotation mark (\") is opened and never closed" },
    [REFUSAL_EMPTY] = { "tidak ada baris judul", "there is no row of titles" },
    [REFUSAL_TITLE_MISSING] = { "{lines}: kolom \"{title}\" tidak ada", "{lines}: column \"{title}\" is not there" },
    [REFUSAL_TITLE_TWICE] = { "{lines}, kolom {column}: judul \"{title}\" ada dua kali",
                              "{lines}, column {column}: title \"{title}\" stands twice" },
    [REFUSAL_CELLS_FEW] = { "{lines}: hanya {n} sel, padahal ada {m} judul; apakah berkas terpotong?",
                            "{lines}: only {n} cells under {m} titles; was the file cut off?" },
    [REFUSAL_CELLS_MANY] = { "{lines}, kolom {column}: isi di luar kolom yang berjudul ({m} judul)",
                             "{lines}, column {column}: something stands beyond the {m} titles" },
    [REFUSAL_ROWS_MANY] = { "lebih dari {n} baris", "more than {n} rows" },
    [REFUSAL_ROWS_OTHER] = { "{lines}: tertulis {n} baris, tetapi ada {m}; apakah berkas terpotong?",
                             "{lines}: it says {n} rows, but there are {m}; was the file cut off?" },
    [REFUSAL_DATE] = { "{lines}, kolom {column} \"{title}\": bukan tanggal seperti yang disepakati",
                       "{lines}, column {column} \"{title}\": no date of the agreed form" },
    [REFUSAL_NUMBER] = { "{lines}, kolom {column} \"{title}\": bukan angka seperti yang disepakati",
                         "{lines}, column {column} \"{title}\": no number of the agreed form" },
    [REFUSAL_CODE] = { "{lines}, kolom {column} \"{title}\": kode yang tidak dikenal",
                       "{lines}, column {column} \"{title}\": a code that is not known" },
    [REFUSAL_VALUE] = { "{lines}, kolom {column} \"{title}\": isi yang tidak dapat dibaca",
                        "{lines}, column {column} \"{title}\": cannot be read as what it should be" },
    [REFUSAL_SCIENTIFIC] = { "{lines}, kolom {column} \"{title}\": nomor telah diubah menjadi bentuk 6,4E+15 dan angka "
                             "aslinya hilang; jadikan kolom ini teks dan isi lagi dari sumbernya",
                             "{lines}, column {column} \"{title}\": the number was turned into the form 6.4E+15 and "
                             "its "
                             "digits are lost; make the column text and fill it again from its source" },
    [REFUSAL_ROUNDED] = { "{lines}, kolom {column} \"{title}\": semua {n} nomor 16 angka berakhir 0, jadi telah "
                          "dibulatkan oleh lembar kerja; jadikan kolom ini teks dan isi lagi dari sumbernya",
                          "{lines}, column {column} \"{title}\": all {n} numbers of 16 digits end in 0, so the "
                          "spreadsheet has rounded them; make the column text and fill it again from its source" },
    [REFUSAL_ROUNDED_KNOWN] = { "{lines}, kolom {column} \"{title}\": nomor sama dengan nomor yang sudah ada kecuali "
                                "angka "
                                "terakhir yang menjadi 0, jadi telah dibulatkan oleh lembar kerja",
                                "{lines}, column {column} \"{title}\": a number that is known, but for its last digit, "
                                "which is 0: the spreadsheet has rounded it" },
    [REFUSAL_KEY_TWICE] = { "{lines}, kolom {column} \"{title}\": sudah ada di baris {n}",
                            "{lines}, column {column} \"{title}\": stands in line {n} already" },
    [REFUSAL_KEY_EMPTIED] = { "{lines}, kolom {column} \"{title}\": baris ini kehilangan nomornya; isi lagi, atau "
                              "hapus "
                              "seluruh barisnya",
                              "{lines}, column {column} \"{title}\": this row has lost its number; type it in again, "
                              "or "
                              "remove the whole row" },
    [REFUSAL_NOBODY] = { "daftar lengkap ini tidak memuat seorang pun, padahal daftar sebelumnya ada isinya; kalau "
                         "memang "
                         "kosong, tulis baris \"# lengkap 0 baris\"",
                         "this complete list has nobody in it, but the one before had; if it is meant so, add the line "
                         "\"# lengkap 0 baris\"" },
};

static void add_text(struct buffer *out, const char *text)
{
    buffer_add(out, text, strlen(text));
}

/* Several blocks of one list look at the same cell: one reason is enough. */
static bool is_known(const struct refusals *refusals, enum refusal_kind kind, uint32_t line, uint32_t column,
                     uint64_t number)
{
    for (const struct refusal *refusal = refusals->list; refusal < refusals->list + refusals->count; refusal++)
        if (line > 0 && refusal->kind == kind && refusal->last == line && refusal->column == column &&
            refusal->number == number && column > 0)
            return true;
    return false;
}

static bool same_place(const struct refusal *refusal, enum refusal_kind kind, uint32_t column, const char *title)
{
    static const bool apart[REFUSAL_KIND_COUNT] = {
        [REFUSAL_CELLS_FEW] = true,     [REFUSAL_ROWS_OTHER] = true, [REFUSAL_KEY_TWICE] = true,
        [REFUSAL_TITLE_MISSING] = true, [REFUSAL_MIXED] = true,      [REFUSAL_BYTE] = true,
    };

    return refusal->kind == kind && refusal->column == column && !apart[kind] && strcmp(refusal->title, title) == 0;
}

void refuse(struct refusals *refusals, enum refusal_kind kind, uint32_t line, uint32_t column, const char *title,
            uint64_t number, uint64_t other)
{
    struct refusal *refusal = refusals->list, *end = refusals->list + refusals->count;

    if (is_known(refusals, kind, line, column, number))
        return;
    while (refusal < end && !same_place(refusal, kind, column, title))
        refusal++;
    if (refusal == end) {
        if (refusals->count == REFUSALS_MAX)
            return;
        refusals->count++;
        *refusal = (struct refusal){ .kind = kind,
                                     .title = arena_copy(refusals->arena, title, strlen(title)),
                                     .column = column,
                                     .number = number,
                                     .other = other };
    }
    if (line == 0)
        return;
    if (refusal->count < REFUSAL_LINES)
        refusal->lines[refusal->count] = line;
    refusal->count++;
    refusal->last = line;
}

/* "baris 4, 7 dan 12 lainnya" */
static void add_lines(const struct refusal *refusal, bool english, struct arena *arena, struct buffer *out)
{
    uint32_t shown = refusal->count < REFUSAL_LINES ? refusal->count : REFUSAL_LINES;

    add_text(out, english ? (refusal->count > 1 ? "lines " : "line ") : "baris ");
    for (uint32_t i = 0; i < shown; i++)
        add_text(out, arena_printf(arena, "%s%" PRIu32, i > 0 ? ", " : "", refusal->lines[i]));
    if (refusal->count > shown)
        add_text(out, arena_printf(arena, english ? " and %" PRIu32 " more" : " dan %" PRIu32 " baris lain",
                                   refusal->count - shown));
}

static void add_refusal(const struct refusal *refusal, bool english, struct buffer *out)
{
    const char *at = english ? texts[refusal->kind].english : texts[refusal->kind].indonesian;
    struct arena *arena = arena_new();

    while (*at) {
        const char *brace = strchr(at, '{');

        buffer_add(out, at, brace ? (size_t)(brace - at) : strlen(at));
        if (!brace)
            break;
        if (strncmp(brace, "{lines}", 7) == 0)
            add_lines(refusal, english, arena, out);
        else if (strncmp(brace, "{column}", 8) == 0)
            add_text(out, arena_printf(arena, "%" PRIu32, refusal->column));
        else if (strncmp(brace, "{title}", 7) == 0)
            add_text(out, refusal->title);
        else
            add_text(out, arena_printf(arena, "%" PRIu64, brace[1] == 'n' ? refusal->number : refusal->other));
        at = strchr(brace, '}') + 1;
    }
    arena_free(&arena);
}

static void add_all(const struct refusals *refusals, bool english, const char *name, struct buffer *out)
{
    struct arena *arena = arena_new();

    add_text(out, english ? "REFUSED: " : "DITOLAK: ");
    add_text(out, name);
    add_text(out, english
                      ? "\r\nThis list was not taken and changes nothing. Correct what follows and save it in the "
                        "same folder again.\r\n"
                      : "\r\nDaftar ini tidak dipakai dan tidak mengubah apa pun. Perbaiki yang berikut, lalu simpan "
                        "lagi di folder yang sama.\r\n");
    for (uint32_t i = 0; i < refusals->count; i++) {
        add_text(out, arena_printf(arena, "%" PRIu32 ". ", i + 1));
        add_refusal(&refusals->list[i], english, out);
        add_text(out, "\r\n");
    }
    add_text(out, "\r\n");
    arena_free(&arena);
}

void refusals_write(const struct refusals *refusals, const char *name, struct buffer *out)
{
    add_all(refusals, false, name, out);
    add_all(refusals, true, name, out);
}

const char *refusals_first(struct arena *arena, const struct refusals *refusals)
{
    struct buffer out = { 0 };
    const char *text = "";

    if (refusals->count > 0) {
        add_refusal(&refusals->list[0], true, &out);
        text = arena_copy(arena, out.bytes, out.length);
        buffer_free(&out);
    }
    return text;
}
