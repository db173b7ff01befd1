/* list_fixture.h: a bound mapping of one list, for tests. */
#ifndef SELARAS_CSV_LIST_FIXTURE_H
#define SELARAS_CSV_LIST_FIXTURE_H

#include "agents/csv/form.h"
#include "agents/row_change.h"
#include "proto/tree_fixture.h"

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char list_catalog[] = "catalog\n"
                                   "    version = 7\n"
                                   "    agencies = dinkes\n"
                                   "record\n"
                                   "    resident\n"
                                   "        existence\n"
                                   "            write = dinkes\n"
                                   "        read\n"
                                   "            dinkes = law\n"
                                   "        fields\n"
                                   "            nik\n"
                                   "                type = text\n"
                                   "                identifier = yes\n"
                                   "                write = dinkes\n"
                                   "            name\n"
                                   "                type = text\n"
                                   "                write = dinkes\n"
                                   "            born\n"
                                   "                type = date\n"
                                   "                write = dinkes\n"
                                   "            premium\n"
                                   "                type = decimal\n"
                                   "                scale = 2\n"
                                   "                write = dinkes\n"
                                   "            eligible\n"
                                   "                type = boolean\n"
                                   "                write = dinkes\n";

static const char list_mapping[] = "warga\n"
                                   "    type = resident\n"
                                   "    table = warga\n"
                                   "    key = nik\n"
                                   "    insert = yes\n"
                                   "    delete = row\n"
                                   "    fields\n"
                                   "        nik\n"
                                   "            column = NIK\n"
                                   "        name\n"
                                   "            column = Nama\n"
                                   "        born\n"
                                   "            column = Lahir\n"
                                   "        premium\n"
                                   "            column = Iuran\n"
                                   "        eligible\n"
                                   "            column = Berhak\n"
                                   "            codes\n"
                                   "                YA = true\n"
                                   "                TIDAK = false\n";

enum { F_NIK, F_NAME, F_BORN, F_PREMIUM, F_ELIGIBLE, F_COUNT };

struct list_fixture {
    struct arena *arena;
    struct mapping mapping;
    const struct mapping_block *block;
    const struct form *forms;
    struct spelling *spellings;
};

static inline void list_fixture_of(struct list_fixture *fixture, const char *records, const char *blocks)
{
    const struct catalog *catalog;
    struct error err = { 0 };

    fixture->arena = arena_new();
    if (catalog_build(fixture->arena, tree_fixture(fixture->arena, records), records, strlen(records), &catalog, &err) <
            0 ||
        mapping_build(fixture->arena, tree_fixture(fixture->arena, blocks), &fixture->mapping, &err) < 0 ||
        mapping_bind(fixture->arena, &fixture->mapping, catalog, "dinkes", &err) < 0 ||
        forms_build(fixture->arena, NULL, &fixture->mapping, &fixture->forms, &err) < 0)
        fail_msg("%s", err.text);
    fixture->block = &fixture->mapping.blocks[0];
    fixture->spellings = spellings_of(fixture->arena, fixture->block, &fixture->forms[0]);
}

static inline void list_fixture_new(struct list_fixture *fixture)
{
    list_fixture_of(fixture, list_catalog, list_mapping);
}

/* "6402|Siti|1980-01-02|1.00|true"; "-" is NULL. NULL: no row. */
static inline struct value *list_fields(struct list_fixture *fixture, const char *text)
{
    struct value *fields;

    if (!text)
        return NULL;
    fields = arena_array(fixture->arena, F_COUNT + ROW_WITNESSES, sizeof *fields);
    for (int i = 0; i < F_COUNT; i++) {
        size_t length = strcspn(text, "|");

        fields[i] = length == 1 && *text == '-' ? value_null() : value_text(arena_copy(fixture->arena, text, length));
        text += length + (text[length] == '|');
    }
    return fields;
}

static inline const char *list_text(struct list_fixture *fixture, const struct value *fields)
{
    const char *text = "";

    if (!fields)
        return NULL;
    for (int i = 0; i < F_COUNT; i++)
        text = fields[i].state == VALUE_SET ? arena_printf(fixture->arena, "%s%s%.*s", text, i ? "|" : "",
                                                           (int)fields[i].length, fields[i].bytes)
                                            : arena_printf(fixture->arena, "%s%s-", text, i ? "|" : "");
    return text;
}

#endif
