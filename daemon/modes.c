#include "daemon/modes.h"

#include <string.h>

static bool same(struct text left, struct text right)
{
    return left.length == right.length && memcmp(left.bytes, right.bytes, left.length) == 0;
}

bool modes_next(struct text modes, uint32_t *at, struct text *ret_block, enum agency_mode *ret_mode)
{
    const char *begin = modes.bytes + *at, *sign, *end;
    char word[16];

    if (*at >= modes.length)
        return false;
    sign = memchr(begin, '=', modes.length - *at);
    end = memchr(begin, ',', modes.length - *at);
    if (!end)
        end = modes.bytes + modes.length;
    if (!sign || sign > end || (size_t)(end - sign) > sizeof word)
        return false; /* not ours; no name holds these signs */
    *ret_block = (struct text){ begin, (uint32_t)(sign - begin) };
    memcpy(word, sign + 1, (size_t)(end - sign) - 1);
    word[end - sign - 1] = '\0';
    *ret_mode = agency_mode_named(word);
    *at = (uint32_t)(end - modes.bytes) + 1;
    return *ret_mode != MODE_COUNT;
}

enum agency_mode modes_of(const struct agency_row *row, struct text block)
{
    enum agency_mode mode;
    struct text name;
    uint32_t at = 0;

    while (modes_next(row->modes, &at, &name, &mode))
        if (same(name, block))
            return mode;
    return row->mode;
}

struct text modes_with(struct arena *arena, const struct agency_row *row, struct text block, enum agency_mode mode)
{
    const char *list = "";
    enum agency_mode other;
    struct text name;
    uint32_t at = 0;

    while (modes_next(row->modes, &at, &name, &other))
        if (!same(name, block))
            list = arena_printf(arena, "%s%s%.*s=%s", list, *list ? "," : "", (int)name.length, name.bytes,
                                agency_mode_name(other));
    if (mode != row->mode)
        list = arena_printf(arena, "%s%s%.*s=%s", list, *list ? "," : "", (int)block.length, block.bytes,
                            agency_mode_name(mode));
    return (struct text){ list, (uint32_t)strlen(list) };
}

void modes_bind(const struct agency_row *row, const struct catalog *catalog, struct agency_block *blocks,
                uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        blocks[i].mode = modes_of(row, blocks[i].name);
        if (blocks[i].mode != MODE_FULL)
            memset(blocks[i].fed, 0, catalog->types[blocks[i].type].unit_count * sizeof *blocks[i].fed);
    }
}
