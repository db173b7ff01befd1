#include "agents/csv/work.h"

#include "shell/json.h"
#include "shell/log.h"
#include "shell/text.h"

#include <inttypes.h>
#include <stdio.h>

static int end_load(struct lists *lists, struct error *err)
{
    if (state_begin(lists->state, err) < 0 || state_loaded(lists->state, lists->incarnation, lists->load, err) < 0 ||
        state_commit(lists->state, err) < 0)
        return err->code;
    lists->load_ends = false;
    return 0;
}

static int prove(struct lists *lists, struct error *err)
{
    lists->proves = false;
    if (state_prove(lists->state, &lists->known, lists->from, lists->base, err) < 0)
        return err->code;
    give_from(lists->give, lists->from);
    lists->forget = lists->from;
    return 0;
}

static int forget(struct lists *lists, struct error *err)
{
    uint64_t number = lists->forget;

    lists->forget = 0;
    if (number <= lists->state->forgotten)
        return 0;
    return state_begin(lists->state, err) < 0 || state_forget(lists->state, number, err) < 0 ||
                   state_commit(lists->state, err) < 0
               ? err->code
               : 0;
}

static int apply_some(struct lists *lists, int64_t now_us, struct error *err)
{
    feed_position applied;

    if (amend_step(lists->apply, now_us, &applied, err) < 0) {
        if (err->code == ERR_REJECT)
            err->code = ERR_STOP;
        return error_wrap(err, _("applying what the broker fed"));
    }
    if (applied > 0)
        lists->sink.applied(lists->sink.context, applied);
    return 0;
}

static int grant(struct lists *lists, int64_t now_us, struct error *err)
{
    const struct wish *wish = lists->wishes.first;
    struct buffer out = { 0 };
    struct settled settled;
    char json[128];

    if (wish->list) {
        if (state_parked_json(lists->state, &out, err) < 0) {
            buffer_free(&out);
            return err->code;
        }
        wish_answer(&lists->wishes, json_text(&out), NULL);
        buffer_free(&out);
        return 0;
    }
    if (amend_settle(lists->apply, wish->record, wish->close, wish->note, now_us, &settled, err) < 0)
        return err->code;
    snprintf(json, sizeof json, "{\"released\":%" PRIu32 ",\"closed\":%" PRIu32 ",\"refused\":%" PRIu32 ",\"busy\":0}",
             settled.released, settled.closed, settled.refused);
    wish_answer(&lists->wishes, json, NULL);
    return 0;
}

static int retry(struct lists *lists, int64_t now_us, struct error *err)
{
    struct settled settled;

    lists->retry = false;
    if (amend_settle(lists->apply, 0, false, NULL, now_us, &settled, err) < 0)
        return err->code;
    if (settled.released > 0)
        log_write(LOG_NOTE, _("%" PRIu32 " parked records were applied after all"), settled.released);
    return 0;
}

static int publish_some(struct lists *lists, struct error *err)
{
    if (publish_step(lists->publish, err) < 0)
        return err->code;
    if (!publish_due(lists->publish))
        lists->published_ms = loop_monotonic_ms();
    return 0;
}

static bool may_publish(struct lists *lists)
{
    int64_t wait_ms = lists->published_ms + PUBLISH_PAUSE_MS - loop_monotonic_ms();

    if (!lists->bound || !publish_due(lists->publish))
        return false;
    if (lists->published_ms == 0 || wait_ms <= 0)
        return true;
    if (!lists->work_timer)
        lists_wake_in(lists, (uint32_t)wait_ms);
    return false;
}

static int take_some(struct lists *lists, int64_t now_us, bool *ret_more, struct error *err)
{
    return intake_step(lists->intake, now_us, lists->state->incarnation != 0 || give_loaded(lists->give), ret_more,
                       err);
}

int work_step(struct lists *lists, bool *ret_more, struct error *err)
{
    int64_t now_us = loop_time_us();
    int code;

    *ret_more = true;
    if (lists->defect.code != 0) {
        *err = lists->defect;
        return err->code;
    }
    if (lists->wishes.first && lists->wishes.first->list)
        return grant(lists, now_us, err); /* a list on its way in touches nothing of it */
    if (intake_begun(lists->intake))
        return take_some(lists, now_us, ret_more, err);
    if (amend_begun(lists->apply))
        return apply_some(lists, now_us, err);
    if (lists->load_ends)
        return end_load(lists, err);
    if (lists->proves)
        return prove(lists, err);
    if (lists->bound && amend_waits(lists->apply) && !intake_waits(lists->intake))
        return apply_some(lists, now_us, err);
    if (lists->wishes.first && lists->bound)
        return grant(lists, now_us, err);
    if (lists->bound && lists->retry && lists->state->incarnation != 0)
        return retry(lists, now_us, err);
    if (lists->forget > 0)
        return forget(lists, err);
    code = give_step(lists->give, now_us, ret_more, err);
    if (code < 0 || *ret_more)
        return code;
    if (may_publish(lists)) {
        *ret_more = true;
        return publish_some(lists, err);
    }
    if (!lists->bound || give_reads(lists->give))
        return 0;
    return take_some(lists, now_us, ret_more, err);
}
