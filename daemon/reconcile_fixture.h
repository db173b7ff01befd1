/* reconcile_fixture.h: a small catalog for tests of reconciliation. a is the owner of most, b and c write some. */
#ifndef SELARAS_RECONCILE_FIXTURE_H
#define SELARAS_RECONCILE_FIXTURE_H

#include "daemon/reconcile.h"
#include "proto/tree_fixture.h"

static const char fixture_catalog[] = "catalog\n"
                                      "    version = 1\n"
                                      "    agencies = \"a b c\"\n"
                                      "record\n"
                                      "    person\n"
                                      "        existence\n"
                                      "            write = \"a b\"\n"
                                      "        read\n"
                                      "            a = law\n"
                                      "            b = law\n"
                                      "            c = law\n"
                                      "        groups\n"
                                      "            home\n"
                                      "                write = \"a b\"\n"
                                      "        fields\n"
                                      "            nik\n"
                                      "                type = text\n"
                                      "                identifier = yes\n"
                                      "                required = yes\n"
                                      "                pattern = \"[0-9]+\"\n"
                                      "                write = \"a b c\"\n"
                                      "            name\n"
                                      "                type = text\n"
                                      "                compare = letters\n"
                                      "                write = \"a b c\"\n"
                                      "            eligible\n"
                                      "                type = boolean\n"
                                      "                write = a\n"
                                      "            size\n"
                                      "                type = integer\n"
                                      "                write = \"a b c\"\n"
                                      "                conflict = largest\n"
                                      "            decile\n"
                                      "                type = integer\n"
                                      "                write = \"a b c\"\n"
                                      "                conflict = smallest\n"
                                      "            village\n"
                                      "                type = text\n"
                                      "                group = home\n"
                                      "            street\n"
                                      "                type = text\n"
                                      "                group = home\n";

/* A record type with room for much text, and a second type. */
__attribute__((unused)) static const char wide_catalog[] = "catalog\n"
                                                           "    version = 1\n"
                                                           "    agencies = \"a b\"\n"
                                                           "record\n"
                                                           "    person\n"
                                                           "        existence\n"
                                                           "            write = \"a b\"\n"
                                                           "        read\n"
                                                           "            a = law\n"
                                                           "            b = law\n"
                                                           "        fields\n"
                                                           "            nik\n"
                                                           "                type = text\n"
                                                           "                identifier = yes\n"
                                                           "                write = \"a b\"\n"
                                                           "            f1\n"
                                                           "                type = text\n"
                                                           "                write = \"a b\"\n"
                                                           "            f2\n"
                                                           "                type = text\n"
                                                           "                write = \"a b\"\n"
                                                           "            f3\n"
                                                           "                type = text\n"
                                                           "                write = \"a b\"\n"
                                                           "            f4\n"
                                                           "                type = text\n"
                                                           "                write = \"a b\"\n"
                                                           "    household\n"
                                                           "        existence\n"
                                                           "            write = \"a b\"\n"
                                                           "        read\n"
                                                           "            a = law\n"
                                                           "            b = law\n"
                                                           "        fields\n"
                                                           "            kk\n"
                                                           "                type = text\n"
                                                           "                identifier = yes\n"
                                                           "                write = \"a b\"\n";

enum { A, B, C, AGENCIES };
enum { NIK, NAME, ELIGIBLE, SIZE, DECILE, VILLAGE, STREET, FIELDS };

static inline const struct catalog *catalog_fixture(struct arena *arena)
{
    const struct catalog *catalog;
    struct error err;

    if (catalog_build(arena, tree_fixture(arena, fixture_catalog), fixture_catalog, sizeof fixture_catalog - 1,
                      &catalog, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return catalog;
}

#endif
