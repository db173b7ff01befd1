/* Any text as a catalog or a mapping file: read or refused with a reason, never crashed on. */
#include "proto/catalog.h"
#include "proto/mapping.h"
#include "shell/zpl.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static const char catalog_text[] =
    "catalog\n    version = 1\n    agencies = \"a b\"\nrecord\n    resident\n        existence\n            write = "
    "\"a b\"\n"
    "            otherwise = put-back\n            conflict = owner\n        read\n            a = \"law\"\n           "
    " b = 'law'\n"
    "        groups\n            home\n                write = a\n        fields\n            nik\n                "
    "type = text\n"
    "                identifier = yes\n                required = yes\n                pattern = \"[0-9]{16}\"\n       "
    "         write = \"a b\"\n"
    "            size\n                type = integer\n                write = \"b a\"\n                conflict = "
    "largest\n"
    "            street\n                type = text\n                group = home\n            money\n                "
    "type = decimal\n"
    "                scale = 2\n                write = a   # only a\n                otherwise = put-back\n";
static const char mapping_text[] = "mapping\n    people\n        type = resident\n        table = public.people\n      "
                                   "  key = nik\n        insert = yes\n"
                                   "        delete = row\n        fields\n            nik\n                column = "
                                   "nik\n                trim = yes\n            size\n"
                                   "                column = jumlah\n                codes\n                    1 = "
                                   "1\n                    X = 2\n            street\n"
                                   "                columns = \"a b\"\n                join = \".\"\n";

void fuzz_seeds(void)
{
    fuzz_seed(catalog_text, strlen(catalog_text));
    fuzz_seed(mapping_text, strlen(mapping_text));
}

static const struct catalog *catalog_of(struct arena *arena, const char *text, size_t length)
{
    const struct catalog *catalog = NULL;
    const struct tree *tree;
    struct error err;

    if (zpl_parse(arena, "x.zpl", text, length, &tree, &err) < 0 ||
        catalog_build(arena, tree, text, length, &catalog, &err) < 0)
        return err.text[0] ? NULL : (abort(), NULL);
    return catalog;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    scoped(arena_free) struct arena *arena = arena_new();
    const struct catalog *good = catalog_of(arena, catalog_text, strlen(catalog_text));
    const char *text = arena_copy(arena, (const char *)bytes, length);
    const struct tree *tree, *blocks;
    struct mapping mapping;
    struct error err;

    (void)catalog_of(arena, text, length);
    if (!good)
        abort();
    if (zpl_parse(arena, "y.zpl", text, length, &tree, &err) < 0 || !(blocks = tree_child(tree, "mapping")))
        return 0;
    if (mapping_build(arena, blocks, &mapping, &err) == 0)
        (void)!mapping_bind(arena, &mapping, good, "a", &err);
    return 0;
}
