#include "agents/why.h"

#include <string.h>

/* By the rule that decided; "%" stands for who. The last one is for rules that are not here. */
static const struct {
    const char *rule, *text[2];
} whys[] = {
    { "not allowed", { "ditetapkan oleh % (pemilik data)", "decided by % (owner of this data)" } },
    { "owner", { "data % didahulukan (pemilik data)", "the value of % comes first (owner of this data)" } },
    { "largest", { "yang terbesar berlaku: data %", "the largest stands: the value of %" } },
    { "smallest", { "yang terkecil berlaku: data %", "the smallest stands: the value of %" } },
    { "required", { "kolom ini wajib diisi", "this must not be empty" } },
    { "pattern", { "bentuknya tidak seperti yang disepakati", "it has not the agreed form" } },
    { "identifier taken", { "nomor ini sudah dipakai data lain", "another record has this number" } },
    { "record too large", { "isi baris terlalu besar", "the row is too large" } },
    { "deleted", { "data ini sudah dihapus oleh %", "this was deleted by %" } },
    { "record exists", { "data ini sudah ada di %", "this is there already, at %" } },
    { "rejected", { "ditahan, lalu ditolak oleh petugas %", "held, and then rejected by the officer %" } },
    { "same record", { "sama dengan data lain, diputuskan oleh %", "the same as another record, as % has decided" } },
    { "different record", { "bukan data yang sama, diputuskan oleh %", "not the same record, as % has decided" } },
    { "", { "diubah oleh %", "changed by %" } },
};

bool why_language_named(const char *name, enum why_language *ret)
{
    static const char *const names[] = { [WHY_INDONESIAN] = "id", [WHY_ENGLISH] = "en" };

    for (int i = WHY_INDONESIAN; i <= WHY_ENGLISH; i++)
        if (strcmp(names[i], name) == 0) {
            *ret = (enum why_language)i;
            return true;
        }
    return false;
}

const char *why_row(bool comes, bool was, enum why_language language)
{
    static const char *const words[2][2][2] = { { { "dihapus", "removed" }, { "ditambah", "added" } },
                                                { { "tetap ada", "kept" }, { "dihapus", "deleted" } } };

    return words[comes][was][language];
}

const char *why_text(struct arena *arena, const struct reason *reason, enum why_language language)
{
    static const struct text others[] = { { "instansi lain", 13 }, { "another agency", 14 } };
    struct text by = reason->by.length > 0 ? reason->by : others[language];
    const char *text, *percent;
    size_t i = 0;

    while (*whys[i].rule && (strlen(whys[i].rule) != reason->rule.length ||
                             memcmp(whys[i].rule, reason->rule.bytes, reason->rule.length) != 0))
        i++;
    text = whys[i].text[language];
    percent = strchr(text, '%');
    if (percent)
        text = arena_printf(arena, "%.*s%.*s%s", (int)(percent - text), text, (int)by.length, by.bytes, percent + 1);
    if (reason->ground.length > 0)
        text = arena_printf(arena, "%s: %.*s", text, (int)reason->ground.length, reason->ground.bytes);
    return text;
}
