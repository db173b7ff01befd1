#include "proto/mapping.h"

#include "proto/tree_fixture.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char catalog_lines[] = "catalog\n"
                                    "    version = 7\n"
                                    "    agencies = \"dinsos dinkes\"\n"
                                    "record\n"
                                    "    resident\n"
                                    "        existence\n"
                                    "            write = dinsos\n"
                                    "        read\n"
                                    "            dinsos = law\n"
                                    "            dinkes = agreement\n"
                                    "        groups\n"
                                    "            residence\n"
                                    "                write = dinsos\n"
                                    "        fields\n"
                                    "            nik\n"
                                    "                type = text\n"
                                    "                identifier = yes\n"
                                    "                write = dinsos\n"
                                    "            village\n"
                                    "                type = text\n"
                                    "                group = residence\n"
                                    "            address\n"
                                    "                type = text\n"
                                    "                group = residence\n"
                                    "            covered\n"
                                    "                type = boolean\n"
                                    "                write = dinkes\n"
                                    "            payer\n"
                                    "                type = text\n"
                                    "                pattern = \"self|none\"\n"
                                    "                write = dinkes\n"
                                    "            premium\n"
                                    "                type = decimal\n"
                                    "                scale = 2\n"
                                    "                write = dinkes\n";

/* Each test builds from this, with one part replaced. */
static const char lines[] = "peserta\n"
                            "    type = resident\n"
                            "    table = jkn.peserta_jkn\n"
                            "    key = nik\n"
                            "    insert = yes\n"
                            "    delete = \"set status NON AKTIF\"\n"
                            "    fields\n"
                            "        nik\n"
                            "            column = nik\n"
                            "            trim = yes\n"
                            "        village\n"
                            "            columns = \"kd_kec kd_desa\"\n"
                            "            join = \".\"\n"
                            "        address\n"
                            "            column = alamat\n"
                            "        covered\n"
                            "            column = status_aktif\n"
                            "            codes\n"
                            "                AKTIF = true\n"
                            "                BARU = t\n"
                            "                NONAKTIF = false\n"
                            "        premium\n"
                            "            column = iuran\n"
                            "            codes\n"
                            "                kelas3 = 42000\n";

static int arena_setup(void **state)
{
    *state = arena_new();
    return 0;
}

static int arena_teardown(void **state)
{
    struct arena *arena = *state;

    arena_free(&arena);
    return 0;
}

static const char *edited(struct arena *arena, const char *old, const char *new)
{
    const char *at = strstr(lines, old);

    assert_non_null(at);
    return arena_printf(arena, "%.*s%s%s", (int)(at - lines), lines, new, at + strlen(old));
}

static struct mapping built(struct arena *arena, const char *text)
{
    struct mapping mapping = { 0 };
    struct error err;

    if (mapping_build(arena, tree_fixture(arena, text), &mapping, &err) < 0)
        fail_msg("%s", err.text);
    return mapping;
}

static const struct catalog *catalog(struct arena *arena)
{
    const struct catalog *built_catalog = NULL;
    struct error err;

    if (catalog_build(arena, tree_fixture(arena, catalog_lines), catalog_lines, strlen(catalog_lines), &built_catalog,
                      &err) < 0)
        fail_msg("%s", err.text);
    return built_catalog;
}

static struct text text_of(const char *text)
{
    return (struct text){ text, (uint32_t)strlen(text) };
}

static void a_block_is_what_its_lines_say(void **state)
{
    struct mapping mapping = built(*state, lines);
    const struct mapping_block *block = &mapping.blocks[0];
    const struct mapping_field *village = &block->fields[mapping_field_named(block, text_of("village"))];

    assert_int_equal(mapping.block_count, 1);
    assert_string_equal(block->name, "peserta");
    assert_string_equal(block->type_name, "resident");
    assert_null(block->type);
    assert_string_equal(block->schema, "jkn");
    assert_string_equal(block->table, "peserta_jkn");
    assert_true(block->insert);
    assert_int_equal(block->delete, DELETE_SET);
    assert_string_equal(block->delete_column, "status");
    assert_string_equal(block->delete_value, "NON AKTIF");
    assert_int_equal(block->key_count, 1);
    assert_string_equal(block->fields[block->key[0]].name, "nik");
    assert_int_equal(block->column_count, 6);
    assert_int_equal(village->column_count, 2);
    assert_string_equal(village->join, ".");
    assert_string_equal(block->columns[village->columns[0]], "kd_kec");
    assert_string_equal(block->columns[village->columns[1]], "kd_desa");
    assert_true(block->fields[0].trim);
    assert_false(block->fields[1].trim);
}

static void what_is_not_said_is_the_careful_way(void **state)
{
    static const char small[] = "a\n"
                                "    type = resident\n"
                                "    table = warga\n"
                                "    key = nik\n"
                                "    fields\n"
                                "        nik\n"
                                "            column = nik\n";
    struct mapping mapping = built(*state, small);

    assert_string_equal(mapping.blocks[0].schema, "public");
    assert_string_equal(mapping.blocks[0].table, "warga");
    assert_false(mapping.blocks[0].insert);
    assert_int_equal(mapping.blocks[0].delete, DELETE_IGNORE);
}

static void names_are_found_by_their_bytes(void **state)
{
    struct mapping mapping = built(*state, lines);

    assert_int_equal(mapping_block_named(&mapping, text_of("peserta")), 0);
    assert_int_equal(mapping_block_named(&mapping, text_of("peserta_jkn")), -1);
    assert_int_equal(mapping_field_named(&mapping.blocks[0], (struct text){ "covered?", 7 }), 3);
    assert_int_equal(mapping_field_named(&mapping.blocks[0], text_of("cover")), -1);
}

static void what_is_declared_is_what_is_mapped(void **state)
{
    struct mapping mapping = built(*state, lines);
    struct block *declared = mapping_declare(*state, &mapping);

    assert_int_equal(declared->name.length, strlen("peserta"));
    assert_memory_equal(declared->type.bytes, "resident", 8);
    assert_false(declared->generated);
    assert_int_equal(declared->key_field_count, 1);
    assert_memory_equal(declared->key_fields[0].bytes, "nik", 3);
    assert_true(declared->insert);
    assert_int_equal(declared->delete, DELETE_SET);
    assert_int_equal(declared->field_count, 5);
    assert_memory_equal(declared->fields[4].bytes, "premium", 7);
}

static void what_is_wrong_is_refused_with_its_path(void **state)
{
    static const struct {
        const char *old, *new, *why;
    } table[] = {
        { "    insert = yes", "    inserts = yes", "peserta/inserts: is not known here; did you mean \"insert\"?" },
        { "    insert = yes", "    insert = maybe", "peserta/insert: \"maybe\" is not known here; known: no, yes" },
        { "    type = resident\n", "", "peserta: has no \"type\"" },
        { "    table = jkn.peserta_jkn\n", "", "peserta: has no \"table\"" },
        { "    key = nik\n", "", "peserta: has no \"key\": which fields find a row again?" },
        { "jkn.peserta_jkn", "a.b.c", "peserta/table: must be a table or schema.table" },
        { "jkn.peserta_jkn", ".b", "peserta/table: a name must have 1 to 63 bytes" },
        { "jkn.peserta_jkn", "a234567890123456789012345678901234567890123456789012345678901234",
          "peserta/table: a name must have 1 to 63 bytes" },
        { "key = nik", "key = nikk", "peserta/key: there is no mapped field \"nikk\"; did you mean \"nik\"?" },
        { "key = nik", "key = \"nik nik\"", "peserta/key: \"nik\" stands here twice" },
        { "\"set status NON AKTIF\"", "rows", "peserta/delete: \"rows\" is not known here; did you mean \"row\"?" },
        { "\"set status NON AKTIF\"", "\"set status\"", "peserta/delete: must say what to set: \"set COLUMN VALUE\"" },
        { "\"set status NON AKTIF\"", "set", "peserta/delete: must say what to set: \"set COLUMN VALUE\"" },
        { "        address\n", "        nik\n", "peserta/fields/nik: stands here twice" },
        { "column = alamat", "column = kd_desa",
          "peserta/fields/address/column: column \"kd_desa\" is mapped to another field already" },
        { "kd_kec kd_desa", "kd_kec kd_kec", "peserta/fields/village/columns: \"kd_kec\" stands here twice" },
        { "kd_kec kd_desa", "kd_kec",
          "peserta/fields/village/columns: must name 2 to 16 columns; a single one is \"column\"" },
        { "            join = \".\"\n", "",
          "peserta/fields/village: has no \"join\": what stands between the parts, so that they can be told apart "
          "again?" },
        { "            column = alamat\n", "            column = alamat\n            join = \".\"\n",
          "peserta/fields/address/join: is for a field of several \"columns\"" },
        { "            column = alamat\n", "            trim = yes\n",
          "peserta/fields/address: must have either \"column\" or \"columns\"" },
        { "            column = alamat\n", "            column = alamat\n            colum = b\n",
          "peserta/fields/address/colum: is not known here; did you mean \"column\"?" },
        { "                BARU = t\n", "                AKTIF = t\n",
          "peserta/fields/covered/codes/AKTIF: stands here twice" },
        { "                BARU = t\n", "                BARU\n", "peserta/fields/covered/codes/BARU: has no value" },
        { "                kelas3 = 42000\n", "",
          "peserta/fields/premium/codes: must have 1 to 65535 lines \"local = canonical\"" },
        { "peserta\n", "Peserta\n",
          "Peserta: is no name: it must be at most 63 lower-case letters, digits and underscores, a letter first" },
        { "peserta\n",
          "lama\n    type = resident\n    table = jkn.peserta_jkn\n    key = nik\n    fields\n        nik\n"
          "            column = nik\npeserta\n",
          "peserta/table: block lama maps jkn.peserta_jkn to record type resident too, and one row or a row that moves "
          "from one to the other would be the same record twice: give both blocks a constant among their key fields "
          "that differs, or map them as one block" },
        { "            column = alamat\n", "            column = alamat\n            unknown = null\n",
          "peserta/fields/address/unknown: is for a field with \"codes\"" },
        { "                NONAKTIF = false\n", "                NONAKTIF = false\n            unknown = nul\n",
          "peserta/fields/covered/unknown: \"nul\" is not known here; did you mean \"null\"?" },
        { "    insert = yes\n", "    insert = yes\n    absence = 8d\n",
          "peserta/absence: must be a time of up to 7 days, like 15min or 2h" },
        { "    insert = yes\n", "    insert = yes\n    absence = 200h\n",
          "peserta/absence: must be a time of up to 7 days, like 15min or 2h" },
        { "    insert = yes\n", "    reload = perhaps\n",
          "peserta/reload: \"perhaps\" is not known here; known: no, yes" },
        { "    insert = yes\n", "    zone = Asia/Makasar\n",
          "peserta/zone: \"Asia/Makasar\" is no time zone that this system knows (as in timedatectl list-timezones; "
          "they are in package tzdata)" },
        { "    insert = yes\n", "    where\n        status = \"NON AKTIF\"\n        status = AKTIF\n",
          "peserta/where/status: stands here twice" },
        { "    insert = yes\n", "    where\n        status = \"AKTIF AKTIF\"\n",
          "peserta/where/status: \"AKTIF\" stands here twice" },
        { "    insert = yes\n", "    where\n        status = \"'NON AKTIF\"\n",
          "peserta/where/status: has a quote that does not end with a word: 'NON AKTIF' CUTI" },
        { "    insert = yes\n", "    where\n        status\n", "peserta/where/status: has no value" },
        { "    insert = yes\n", "    where\n", "peserta/where: must be 1 to 8" },
        { "    insert = yes\n", "    where\n        status = \"AKTIF 'NON AKTIF'\"\n",
          "peserta/delete: a row in which status is \"NON AKTIF\" would still belong to the block: \"where\" says so" },
        { "    insert = yes\n", "    constants\n        nik = 1\n",
          "peserta/constants/nik: is among \"fields\" too: a field has columns or a constant" },
        { "    insert = yes\n", "    constants\n        kind\n", "peserta/constants/kind: has no value" },
        { "    key = nik\n", "    key = kind\n    constants\n        kind = 1\n",
          "peserta/key: has constants only: by which column is a row found?" },
        { "    key = nik\n", "    key = generated\n",
          "peserta/key: there is no mapped field \"generated\"; known: nik, village, "
          "address, covered, premium" },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct mapping mapping = { 0 };
        struct error err = { 0 };
        const char *text = edited(*state, table[i].old, table[i].new);

        assert_int_equal(mapping_build(*state, tree_fixture(*state, text), &mapping, &err), ERR_REJECT);
        assert_string_equal(err.text, table[i].why);
        assert_null(mapping.blocks);
    }
}

static void binding_ties_names_to_the_catalog(void **state)
{
    const struct catalog *known = catalog(*state);
    struct mapping mapping = built(*state, lines);
    struct mapping_block *block = &mapping.blocks[0];
    struct error err;

    assert_int_equal(mapping_bind(*state, &mapping, known, "dinsos", &err), 0);
    assert_ptr_equal(block->type, &known->types[0]);
    for (int i = 0; i < block->field_count; i++)
        assert_string_equal(block->type->fields[block->fields[i].field].name, block->fields[i].name);
}

static void codes_take_the_catalogs_spelling(void **state)
{
    const struct catalog *known = catalog(*state);
    struct mapping mapping = built(*state, lines);
    struct mapping_block *block = &mapping.blocks[0];
    struct arena *short_lived = arena_new();
    struct error err;

    /* Twice: a new catalog binds the same mapping again, when what the last binding made is gone. */
    assert_int_equal(mapping_bind(short_lived, &mapping, known, "dinsos", &err), 0);
    arena_free(&short_lived);
    assert_int_equal(mapping_bind(*state, &mapping, known, "dinsos", &err), 0);
    assert_string_equal(block->fields[3].codes[0].canonical, "true");
    assert_string_equal(block->fields[3].codes[1].local, "BARU");
    assert_string_equal(block->fields[3].codes[1].canonical, "true");
    assert_string_equal(block->fields[4].codes[0].canonical, "42000.00");
}

static void what_the_catalog_does_not_have_stops(void **state)
{
    static const struct {
        const char *old, *new, *why;
    } table[] = {
        { "type = resident", "type = residents",
          "mapping/peserta/type: the catalog has no record type \"residents\"; did you mean \"resident\"?" },
        { "        premium\n", "        premi\n",
          "mapping/peserta/fields/premi: record type resident has no such field; did you mean \"premium\"?" },
        { "        address\n            column = alamat\n", "",
          "mapping/peserta/fields/village: it belongs to group residence, which this agency may write and must then "
          "map whole: address is not mapped" },
        { "key = nik", "key = \"nik premium\"",
          "mapping/peserta/key: premium is no identifier of record type resident" },
        { "AKTIF = true", "AKTIF = yes",
          "mapping/peserta/fields/covered: codes/AKTIF: its value is neither true nor false" },
        { "    fields\n", "    constants\n        payer = selfish\n    fields\n",
          "mapping/peserta/constants/payer: its value is not what the catalog's pattern says: self|none" },
        { "    fields\n", "    constants\n        birth = selfish\n    fields\n",
          "mapping/peserta/constants/birth: record type resident has no such field; known: nik, village, address, "
          "covered, payer, premium" },
        { "        premium\n            column = iuran\n            codes\n                kelas3 = 42000\n",
          "        payer\n            column = p\n            codes\n                A = self\n                B = "
          "selfish\n",
          "mapping/peserta/fields/payer: codes/B: its value is not what the catalog's pattern says: self|none" },
    };
    const struct catalog *known = catalog(*state);

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct mapping mapping = built(*state, edited(*state, table[i].old, table[i].new));
        struct error err = { 0 };

        assert_int_equal(mapping_bind(*state, &mapping, known, "dinsos", &err), ERR_STOP);
        assert_int_equal(err.code, ERR_STOP);
        assert_string_equal(err.text, table[i].why);
    }
}

/* Of an identifier of several fields the key holds all, or the block has the others as constants. */
static void a_key_holds_an_identifier_whole(void **state)
{
    const char *at = strstr(catalog_lines, "                write = dinsos\n        fields\n"); /* of group residence */
    const char *text =
        arena_printf(*state, "%.*s                identifier = yes\n%s", (int)(at - catalog_lines), catalog_lines, at);
    static const struct {
        const char *key, *constants, *why;
    } table[] = {
        { "nik", "", NULL },
        { "\"village address\"", "", NULL },
        { "\"nik village\"", "", NULL },
        { "village", "",
          "mapping/m/key: it has only a part of identifier residence of record type resident, so two records could "
          "have "
          "one key: name all of its fields, or give those that no column holds as constants" },
        { "\"nik payer\"", "", "mapping/m/key: payer is no identifier of record type resident" },
        { "village", "    constants\n        address = Loa\n", NULL },
    };
    const struct catalog *known;
    struct error err = { 0 };

    assert_int_equal(catalog_build(*state, tree_fixture(*state, text), text, strlen(text), &known, &err), 0);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        bool constant = table[i].constants[0] != '\0';
        struct mapping mapping =
            built(*state, arena_printf(*state,
                                       "m\n    type = resident\n    table = t\n    key = %s\n%s    fields\n"
                                       "        nik\n            column = a\n        village\n            column = b\n"
                                       "        payer\n            column = d\n%s",
                                       table[i].key, table[i].constants,
                                       constant ? "" : "        address\n            column = c\n"));
        int code = mapping_bind(*state, &mapping, known, "dinsos", &err);

        assert_int_equal(code, table[i].why ? ERR_STOP : 0);
        if (table[i].why)
            assert_string_equal(err.text, table[i].why);
    }
}

static void who_only_reads_a_group_may_map_a_part_of_it(void **state)
{
    struct mapping mapping = built(*state, edited(*state, "        address\n            column = alamat\n", ""));
    struct error err;

    assert_int_equal(mapping_bind(*state, &mapping, catalog(*state), "dinkes", &err), 0);
}

static void an_agency_that_the_catalog_does_not_name_stops(void **state)
{
    struct mapping mapping = built(*state, lines);
    struct error err;

    assert_int_equal(mapping_bind(*state, &mapping, catalog(*state), "dp2kb", &err), ERR_STOP);
    assert_string_equal(err.text, "catalog 7 names no agency dp2kb: add it to catalog/agencies and to what it may read "
                                  "and write");
}

/* Two blocks, each with lines of its own. */
static int pair_build(struct arena *arena, const char *first, const char *second, struct mapping *ret,
                      struct error *err)
{
    static const char block[] = "%s%s\n    table = bantuan\n    insert = yes\n%s    fields\n        nik\n"
                                "            column = nik\n";
    const char *text = arena_printf(arena, block, "", "a", first);

    return mapping_build(arena, tree_fixture(arena, arena_printf(arena, block, text, "b", second)), ret, err);
}

#define ENROLMENT(program, column)                                                                                     \
    "    type = enrolment\n    key = \"nik program\"\n    where\n        " column                                      \
    " = Y\n    constants\n        program = " program "\n"

static void blocks_on_one_table_are_told_apart(void **state)
{
    static const char resident[] = "    type = resident\n    key = nik\n";
    static const struct {
        const char *first, *second;
        bool shared[2];
        const char *why; /* NULL: fine */
    } table[] = {
        { ENROLMENT("PKH", "pkh"), ENROLMENT("BPNT", "bpnt"), { false, false }, NULL },
        { resident, ENROLMENT("PKH", "pkh"), { false, true }, NULL },
        { ENROLMENT("PKH", "pkh"), resident, { true, false }, NULL },
        { "    type = resident\n    key = nik\n    delete = row\n    where\n        jenis = \"A B\"\n",
          "    type = child\n    key = nik\n    delete = row\n    where\n        jenis = C\n",
          { false, false },
          NULL },
        { "    type = resident\n    key = nik\n    delete = row\n    where\n        jenis = null\n",
          "    type = child\n    key = nik\n    delete = row\n    where\n        jenis = not null\n",
          { false, false },
          NULL },
        { "    type = resident\n    key = nik\n    delete = row\n    where\n        jenis = \"A B\"\n",
          "    type = child\n    key = nik\n    where\n        jenis = \"C B\"\n",
          { false, false },
          "b/table: delete = row of block a would delete the record that block b has in the same row of public.bantuan "
          "too: use \"set COLUMN VALUE\" or \"ignore\"" },
        { resident,
          "    type = enrolment\n    key = nik\n    delete = row\n",
          { false, false },
          "b/table: delete = row of block b would delete the record that block a has in the same row of public.bantuan "
          "too: use \"set COLUMN VALUE\" or \"ignore\"" },
        { ENROLMENT("PKH", "pkh"),
          ENROLMENT("PKH", "bpnt"),
          { false, false },
          "b/table: block a maps public.bantuan to record type enrolment too, and one row or a row that moves from one "
          "to the other would be the same record twice: give both blocks a constant among their key fields that "
          "differs, or map them as one block" },
        { "    type = enrolment\n    key = nik\n    where\n        jenis = A\n",
          "    type = enrolment\n    key = nik\n    where\n        jenis = B\n",
          { false, false },
          "b/table: block a maps public.bantuan to record type enrolment too, and one row or a row that moves from one "
          "to the other would be the same record twice: give both blocks a constant among their key fields that "
          "differs, or map them as one block" },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct mapping mapping = { 0 };
        struct error err = { 0 };
        int code = pair_build(*state, table[i].first, table[i].second, &mapping, &err);

        assert_string_equal(err.text, table[i].why ? table[i].why : "");
        if (table[i].why)
            continue;
        assert_int_equal(code, 0);
        assert_int_equal(mapping.blocks[0].shared, table[i].shared[0]);
        assert_int_equal(mapping.blocks[1].shared, table[i].shared[1]);
    }
}

static void a_key_has_only_so_many_columns(void **state)
{
    static const char text[] = "a\n    type = resident\n    table = warga\n    key = \"nik card\"\n    fields\n"
                               "        nik\n            columns = \"a b c d e f g h i j k l m n o p\"\n"
                               "            join = .\n        card\n            column = q\n";
    struct mapping mapping;
    struct error err;

    assert_int_equal(mapping_build(*state, tree_fixture(*state, text), &mapping, &err), ERR_REJECT);
    assert_string_equal(err.text, "a/key: has more than 16 columns");
}

static void a_block_may_say_more(void **state)
{
    static const char text[] = "zone = Asia/Makassar\n"
                               "a\n"
                               "    type = resident\n"
                               "    table = warga\n"
                               "    key = generated id\n"
                               "    where\n"
                               "        aktif = \"Y 'NON AKTIF'\"\n"
                               "    constants\n"
                               "        payer = self\n"
                               "    delete = \"set aktif T\"\n"
                               "    absence = 15min\n"
                               "    reload = yes\n"
                               "    actor = nik\n"
                               "    ground = no_sk\n"
                               "    fields\n"
                               "        nik\n"
                               "            column = nik\n"
                               "b\n"
                               "    type = resident\n"
                               "    table = lain\n"
                               "    key = nik\n"
                               "    zone = Asia/Jayapura\n"
                               "    fields\n"
                               "        nik\n"
                               "            column = nik\n";
    struct mapping mapping = built(*state, text);
    const struct mapping_block *block = &mapping.blocks[0];
    struct block *declared = mapping_declare(*state, &mapping);

    assert_int_equal(mapping.block_count, 2);
    assert_true(block->generated);
    assert_int_equal(block->key_count, 0);
    assert_int_equal(block->key_column_count, 1);
    assert_string_equal(block->columns[block->key_columns[0]], "id");
    assert_int_equal(block->absence_s, 900);
    assert_true(block->reload);
    assert_string_equal(block->zone->name, "Asia/Makassar");
    assert_string_equal(mapping.blocks[1].zone->name, "Asia/Jayapura");
    assert_int_equal(block->column_count, 4);  /* nik, aktif, id, no_sk: nik says who, too */
    assert_int_equal(block->written_count, 2); /* the database makes id, and no_sk is the clerk's */
    assert_int_equal(block->actor_column, 0);
    assert_int_equal(block->ground_column, 3);
    assert_int_equal(mapping.blocks[1].actor_column, COLUMN_NONE);
    assert_string_equal(block->where[0].values[1], "NON AKTIF");
    assert_true(declared[0].generated);
    assert_int_equal(declared[0].key_field_count, 0);
    assert_int_equal(declared[0].field_count, 2);
    assert_int_equal(declared[0].constant_count, 1);
    assert_memory_equal(declared[0].constants[0].name.bytes, "payer", 6);
    assert_int_equal(declared[1].constant_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_what_its_lines_say),
        cmocka_unit_test(what_is_not_said_is_the_careful_way),
        cmocka_unit_test(names_are_found_by_their_bytes),
        cmocka_unit_test(what_is_declared_is_what_is_mapped),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_path),
        cmocka_unit_test(binding_ties_names_to_the_catalog),
        cmocka_unit_test(codes_take_the_catalogs_spelling),
        cmocka_unit_test(what_the_catalog_does_not_have_stops),
        cmocka_unit_test(a_key_holds_an_identifier_whole),
        cmocka_unit_test(who_only_reads_a_group_may_map_a_part_of_it),
        cmocka_unit_test(an_agency_that_the_catalog_does_not_name_stops),
        cmocka_unit_test(blocks_on_one_table_are_told_apart),
        cmocka_unit_test(a_key_has_only_so_many_columns),
        cmocka_unit_test(a_block_may_say_more),
    };

    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
