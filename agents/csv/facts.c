#include "agents/csv/facts.h"

#include "shell/json.h"
#include "shell/loop.h"

#include <inttypes.h>

static const char *age_text(struct arena *arena, int64_t age_us)
{
    int64_t minutes = age_us / 60000000;

    if (minutes < 120)
        return arena_printf(arena, "%" PRId64 " min", minutes);
    return minutes < 48 * 60 ? arena_printf(arena, "%" PRId64 " h", minutes / 60)
                             : arena_printf(arena, "%" PRId64 " days", minutes / 60 / 24);
}

static void list_facts(struct state *state, struct arena *arena, const char *block, struct buffer *out)
{
    struct state_list list;
    struct error ignored;
    uint64_t differ = 0;
    int64_t age_us;

    if (state_list(state, arena, block, &list, &ignored) < 0 ||
        state_count(state, block, STATE_DIFFERS, &differ, &ignored) < 0)
        return;
    age_us = loop_time_us() - list.saved_us;
    json_write_text(out, arena_printf(arena, "%s_list", block),
                    list.known ? arena_printf(arena, "%s, %" PRIu64 " rows%s, %s old", list.name, list.rows,
                                              list.complete ? ", complete" : "", age_text(arena, age_us))
                               : "none yet");
    if (list.known)
        json_write_int(out, arena_printf(arena, "%s_list_age_s", block), age_us / 1000000);
    json_write_uint(out, arena_printf(arena, "%s_to_correct", block), differ);
}

void facts_write(struct state *state, const struct mapping *mapping, const struct give *give,
                 const struct intake *intake, struct buffer *out)
{
    struct arena *arena = arena_new();

    for (uint16_t i = 0; i < mapping->block_count; i++)
        list_facts(state, arena, mapping->blocks[i].name, out);
    if (give_waits_for(give))
        json_write_text(out, "waits_for_list", give_waits_for(give));
    if (intake_refused(intake))
        json_write_text(out, "refused_list", intake_refused(intake));
    arena_free(&arena);
}
