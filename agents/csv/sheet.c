#include "agents/csv/sheet.h"

#include "agents/csv/titles.h"

#include <csv.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_BYTES_MAX = 256 * 1024, /* a title may hold line feeds */
    CELL_BYTES_MAX = 64 * 1024,    /* twice what a spreadsheet's cell can hold */
    IGNORED_BYTES_MAX = 2000,
    ABOVE_MAX = 20, /* rows of anything above the titles */
};

struct sheet {
    const struct sheet_options *options;
    struct refusals *refusals;
    sheet_sink *sink;
    void *context;
    struct csv_parser parser;
    bool header_done, broken;
    struct buffer header;        /* its lines so far */
    uint32_t above, above_line;  /* rows before the titles, and where the first was */
    uint32_t line, row_line;     /* the present line; where the present row began */
    int places[TITLES_MAX];      /* of each column of the file: which wanted title; -1: none */
    uint32_t *columns;           /* of each wanted title: which column, from 1; 0: not there */
    uint32_t column_count, cell; /* columns of the file; cells of the present row so far */
    struct value *cells;
    bool something, mark; /* the row has anything; its first cell begins with "#" */
    struct arena *arena;  /* of the present row */
    struct buffer ignored;
    uint32_t rows;
    bool complete;
    int64_t claimed;
    uint32_t claimed_line;
};

/* ---- cells ---- */

struct value sheet_cell(struct value cell)
{
    if (cell.state != VALUE_SET)
        return value_null();
    while (cell.length > 0 && text_white(cell.bytes[0])) {
        cell.bytes++;
        cell.length--;
    }
    while (cell.length > 0 && text_white(cell.bytes[cell.length - 1]))
        cell.length--;
    if (cell.length > 1 && cell.bytes[0] == '\'' && strchr("=+-@0123456789", cell.bytes[1])) {
        cell.bytes++;
        cell.length--;
    }
    return cell.length > 0 ? cell : value_null();
}

/* ---- titles ---- */

static void ignore_title(struct sheet *sheet, const char *title)
{
    if (!*title || sheet->ignored.length > IGNORED_BYTES_MAX)
        return;
    if (sheet->ignored.length > 0)
        buffer_add(&sheet->ignored, ", ", 2);
    buffer_add(&sheet->ignored, title, strlen(title));
}

static void titles_take(struct sheet *sheet, const struct titles *titles)
{
    sheet->column_count = titles->count;
    for (uint32_t i = 0; i < titles->count; i++) {
        int wanted = titles->wanted[i];

        sheet->places[i] = wanted;
        if (wanted < 0)
            ignore_title(sheet, titles->written[i]);
        else if (sheet->columns[wanted] > 0)
            refuse(sheet->refusals, REFUSAL_TITLE_TWICE, sheet->row_line, i + 1, sheet->options->titles[wanted], 0, 0);
        else
            sheet->columns[wanted] = i + 1;
    }
    for (uint16_t i = 0; i < sheet->options->title_count; i++)
        if (sheet->columns[i] == 0)
            refuse(sheet->refusals, REFUSAL_TITLE_MISSING, sheet->row_line, 0, sheet->options->titles[i], 0, 0);
}

/* No row of the first ones has any of the titles: that is said of the first. */
static void titles_nowhere(struct sheet *sheet)
{
    for (uint16_t i = 0; i < sheet->options->title_count; i++)
        refuse(sheet->refusals, REFUSAL_TITLE_MISSING, sheet->above_line, 0, sheet->options->titles[i], 0, 0);
    sheet->header_done = sheet->broken = true;
}

static bool any_title(const struct titles *titles)
{
    for (uint32_t i = 0; i < titles->count; i++)
        if (titles->wanted[i] >= 0)
            return true;
    return false;
}

/* What people write above a table, its name and when it was made, is no row of titles. */
static bool is_above(struct sheet *sheet, const struct titles *titles)
{
    if (titles->count == 0 || titles->many || any_title(titles))
        return false;
    if (sheet->above++ == 0)
        sheet->above_line = sheet->row_line;
    if (sheet->above > ABOVE_MAX)
        titles_nowhere(sheet);
    sheet->header.length = 0;
    return true;
}

static void header_read(struct sheet *sheet)
{
    struct arena *arena = arena_new();
    struct titles titles = titles_read(arena, &sheet->header, sheet->options->titles, sheet->options->title_count);

    if (is_above(sheet, &titles)) {
        arena_free(&arena);
        return;
    }
    csv_set_delim(&sheet->parser, (unsigned char)titles.separator);
    sheet->header_done = true;
    if (titles.count == 0)
        refuse(sheet->refusals, REFUSAL_QUOTE, sheet->row_line, 1, "", 0, 0);
    else if (titles.many)
        refuse(sheet->refusals, REFUSAL_CELLS_MANY, sheet->row_line, TITLES_MAX + 1, "", 0, TITLES_MAX);
    else
        titles_take(sheet, &titles);
    sheet->broken = sheet->refusals->count > 0; /* without titles the rows say nothing */
    arena_free(&arena);
}

/* ---- what a list says of itself ---- */

static bool has_word(const char *bytes, size_t length, const char *word)
{
    size_t size = strlen(word);

    for (size_t i = 0; i + size <= length; i++)
        if (strncasecmp(bytes + i, word, size) == 0)
            return true;
    return false;
}

/* "# lengkap 1.234 baris": the first number counts, whatever stands between its thousands. */
static void mark_read(struct sheet *sheet, const char *bytes, size_t length, uint32_t line)
{
    int64_t claimed = -1;
    size_t i = 0;

    if (!has_word(bytes, length, "lengkap") && !has_word(bytes, length, "complete"))
        return; /* a remark */
    sheet->complete = true;
    while (i < length && (bytes[i] < '0' || bytes[i] > '9'))
        i++;
    for (; i < length && ((bytes[i] >= '0' && bytes[i] <= '9') || bytes[i] == '.' || bytes[i] == ','); i++)
        if (bytes[i] != '.' && bytes[i] != ',' && claimed < UINT32_MAX)
            claimed = (claimed < 0 ? 0 : claimed) * 10 + (bytes[i] - '0');
    if (claimed >= 0) {
        sheet->claimed = claimed;
        sheet->claimed_line = line;
    }
}

/* ---- rows ---- */

static void on_cell(void *bytes, size_t length, void *context)
{
    struct sheet *sheet = context;
    uint32_t at = sheet->cell++;
    struct value cell = { .bytes = bytes, .length = (uint32_t)length, .state = VALUE_SET };
    int place = at < sheet->column_count ? sheet->places[at] : -1;

    cell = sheet_cell(cell);
    if (cell.state != VALUE_SET)
        return;
    if (at == 0 && cell.bytes[0] == '#') {
        sheet->mark = true;
        mark_read(sheet, cell.bytes, cell.length, sheet->row_line);
        return;
    }
    sheet->something = true;
    if (at >= sheet->column_count)
        refuse(sheet->refusals, REFUSAL_CELLS_MANY, sheet->row_line, at + 1, "", 0, sheet->column_count);
    if (place < 0)
        return;
    cell.bytes = arena_copy(sheet->arena, cell.bytes, cell.length);
    sheet->cells[place] = cell;
}

static void row_begin(struct sheet *sheet)
{
    arena_reset(sheet->arena);
    for (uint16_t i = 0; i < sheet->options->title_count; i++)
        sheet->cells[i] = value_null();
    sheet->cell = 0;
    sheet->something = sheet->mark = false;
}

static void on_row(int end, void *context)
{
    struct sheet *sheet = context;
    const struct sheet_row row = { sheet->row_line, sheet->cells };

    (void)end;
    if (sheet->something) {
        sheet->rows++;
        if (sheet->cell < sheet->column_count && !sheet->options->short_rows)
            refuse(sheet->refusals, REFUSAL_CELLS_FEW, sheet->row_line, 0, "", sheet->cell, sheet->column_count);
        else if (sheet->rows > sheet->options->rows_most)
            refuse(sheet->refusals, REFUSAL_ROWS_MANY, 0, 0, "", sheet->options->rows_most, 0);
        else
            sheet->sink(sheet->context, &row);
    }
    row_begin(sheet);
}

/* ---- lines ---- */

static bool quotes_balanced(const struct buffer *header)
{
    size_t quotes = 0;

    for (size_t i = 0; i < header->length; i++)
        quotes += header->bytes[i] == '"';
    return quotes % 2 == 0;
}

static bool is_blank(struct text line)
{
    for (uint32_t i = 0; i < line.length; i++)
        if (!text_white(line.bytes[i]) && line.bytes[i] != ',' && line.bytes[i] != ';')
            return false;
    return true;
}

/* Before the titles: blank lines, remarks, and the "sep=;" of some spreadsheets. */
static void header_line(struct sheet *sheet, struct text line)
{
    if (sheet->header.length == 0) {
        sheet->row_line = sheet->line;
        if (is_blank(line) || (line.length >= 5 && strncasecmp(line.bytes, "sep=", 4) == 0))
            return;
        if (line.bytes[0] == '#' || (line.length > 1 && line.bytes[0] == '"' && line.bytes[1] == '#')) {
            mark_read(sheet, line.bytes, line.length, sheet->line);
            return;
        }
    }
    buffer_add(&sheet->header, line.bytes, line.length);
    if (quotes_balanced(&sheet->header))
        header_read(sheet);
    else if (sheet->header.length > HEADER_BYTES_MAX) {
        refuse(sheet->refusals, REFUSAL_QUOTE_OPEN, sheet->row_line, 1, "", 0, 0);
        sheet->broken = true;
    }
}

void sheet_line(struct sheet *sheet, struct text line)
{
    sheet->line++;
    if (sheet->broken)
        return;
    if (!sheet->header_done) {
        header_line(sheet, line);
        return;
    }
    if (sheet->parser.pstate == 0) /* between rows */
        sheet->row_line = sheet->line;
    if (csv_parse(&sheet->parser, line.bytes, line.length, on_cell, on_row, sheet) != line.length) {
        refuse(sheet->refusals, REFUSAL_QUOTE, sheet->line, sheet->cell + 1, "", 0, 0);
        sheet->broken = true; /* where the next row begins nobody knows */
    } else if (sheet->parser.entry_pos > CELL_BYTES_MAX) {
        refuse(sheet->refusals, REFUSAL_QUOTE_OPEN, sheet->row_line, sheet->cell + 1, "", 0, 0);
        sheet->broken = true;
    }
}

void sheet_end(struct sheet *sheet)
{
    if (!sheet->header_done && !sheet->broken) {
        if (sheet->header.length > 0)
            refuse(sheet->refusals, REFUSAL_QUOTE_OPEN, sheet->row_line, 1, "", 0, 0);
        else if (sheet->above > 0)
            titles_nowhere(sheet);
        else
            refuse(sheet->refusals, REFUSAL_EMPTY, 0, 0, "", 0, 0);
    } else if (!sheet->broken && csv_fini(&sheet->parser, on_cell, on_row, sheet) != 0) {
        refuse(sheet->refusals, REFUSAL_QUOTE_OPEN, sheet->row_line, sheet->cell + 1, "", 0, 0);
    } else if (!sheet->broken && sheet->claimed >= 0 && sheet->claimed != sheet->rows) {
        refuse(sheet->refusals, REFUSAL_ROWS_OTHER, sheet->claimed_line, 0, "", (uint64_t)sheet->claimed, sheet->rows);
    }
}

/* ---- beginning, end, questions ---- */

struct sheet *sheet_new(const struct sheet_options *options, struct refusals *refusals, sheet_sink *sink, void *context)
{
    struct sheet *sheet = calloc(1, sizeof *sheet);

    if (!sheet)
        abort();
    *sheet = (struct sheet){
        .options = options, .refusals = refusals, .sink = sink, .context = context, .arena = arena_new(), .claimed = -1
    };
    sheet->columns = calloc(options->title_count + 1u, sizeof *sheet->columns);
    sheet->cells = calloc(options->title_count + 1u, sizeof *sheet->cells);
    if (!sheet->columns || !sheet->cells || csv_init(&sheet->parser, CSV_STRICT | CSV_STRICT_FINI) != 0)
        abort();
    csv_set_space_func(&sheet->parser, titles_space);
    row_begin(sheet);
    return sheet;
}

void sheet_free(struct sheet **sheet)
{
    if (!*sheet)
        return;
    csv_free(&(*sheet)->parser);
    buffer_free(&(*sheet)->header);
    buffer_free(&(*sheet)->ignored);
    arena_free(&(*sheet)->arena);
    free((*sheet)->columns);
    free((*sheet)->cells);
    free(*sheet);
    *sheet = NULL;
}

uint32_t sheet_rows(const struct sheet *sheet)
{
    return sheet->rows;
}

bool sheet_complete(const struct sheet *sheet)
{
    return sheet->complete;
}

bool sheet_claims_none(const struct sheet *sheet)
{
    return sheet->complete && sheet->claimed == 0;
}

char sheet_separator(const struct sheet *sheet)
{
    return (char)sheet->parser.delim_char;
}

uint32_t sheet_column(const struct sheet *sheet, uint16_t index)
{
    return sheet->columns[index];
}

const char *sheet_ignored(const struct sheet *sheet)
{
    struct sheet *held = (struct sheet *)(uintptr_t)sheet;

    buffer_add(&held->ignored, "", 1); /* its NUL */
    held->ignored.length--;
    return held->ignored.bytes;
}
