#include "cli/reveal.h"

#include "cli/answer.h"
#include "cli/show.h"
#include "shell/text.h"

#include <inttypes.h>

int reveal_record(const struct call *call, const char *type, uint64_t record, const char *what, struct error *err)
{
    const char *const arguments[] = { "reveal", type ? type : "", arena_printf(call->arena, "%" PRIu64, record), what };
    scoped(answer_free) struct json_object *answer = NULL;

    if (answer_ask(call, arguments, 4, &answer, err) < 0)
        return error_wrap(err, _("personal values are shown whole only after the broker has written down who sees "
                                 "them"));
    return 0;
}

const char *reveal_of_ledger(struct arena *arena, const struct ledger_count *count, const struct ledger_filter *filter)
{
    const char *what = arena_printf(arena, "log, %" PRIu64 " entries from %s to %s", count->entries,
                                    show_position(arena, count->first), show_position(arena, count->last));

    if (filter->agency)
        what = arena_printf(arena, "%s, of %s", what, filter->agency);
    if (filter->kind)
        what = arena_printf(arena, "%s, kind %s", what, filter->kind);
    if (filter->verdict)
        what = arena_printf(arena, "%s, verdict %s", what, filter->verdict);
    return what;
}
