#include "agents/agent_state.h"

#include <stdlib.h>
#include <string.h>

void agent_pause(struct agent *agent, bool yes, struct agent_actions *out)
{
    if (agent->paused == yes)
        return;
    agent->paused = yes;
    agent_action(out, AGENT_ACTION_PAUSE)->yes = yes;
}

/* Sends what credit allows, in messages of about AGENT_BATCH_BYTES; with `whole` only messages that are full. */
void agent_flush(struct agent *agent, bool whole, struct agent_actions *out)
{
    while (!outgoing_empty(agent->outgoing) && agent->credit > agent->sent_bytes &&
           (!whole || outgoing_bytes(agent->outgoing) >= AGENT_BATCH_BYTES)) {
        struct message message = { .kind = MESSAGE_CHANGES };
        uint64_t left = agent->credit - agent->sent_bytes;

        message.changes.piece_count =
            outgoing_peek(agent->outgoing, AGENT_BATCH_BYTES, left < FRAME_BYTES_MAX ? (size_t)left : FRAME_BYTES_MAX,
                          &message.changes.pieces);
        if (message.changes.piece_count == 0)
            break;
        for (uint32_t i = 0; i < message.changes.piece_count; i++)
            agent->changes_sent += message.changes.pieces[i].change_count;
        agent->sent_bytes += agent_send(agent, &message, out);
        outgoing_sent(agent->outgoing, message.changes.piece_count);
    }
    if (outgoing_bytes(agent->outgoing) >= AGENT_UNSENT_BYTES)
        agent_pause(agent, true, out);
    else if (outgoing_bytes(agent->outgoing) < AGENT_BATCH_BYTES)
        agent_pause(agent, false, out);
}

/* The slot follows what the broker has committed, never more: else the next session could not tell an idle source from
 * one whose changes went elsewhere. */
void agent_advance(struct agent *agent, struct agent_actions *out)
{
    if (agent->acked_lsn <= agent->advanced_lsn)
        return;
    agent->advanced_lsn = agent->acked_lsn;
    agent_action(out, AGENT_ACTION_ADVANCE)->lsn = agent->acked_lsn;
}

void agent_on_captured(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (agent->state != AGENT_LOADING && agent->state != AGENT_STREAMING)
        return; /* read again in the next session */
    outgoing_add(agent->outgoing, event->piece);
    if (event->piece->final && event->piece->lsn > agent->captured_lsn)
        agent->captured_lsn = event->piece->lsn;
    agent->captured_base = event->piece->base;
    if (event->piece->fence.seq > agent->progress.source.fence.seq)
        agent->progress.source.fence = event->piece->fence; /* a later hello must not look older than what was sent */
    agent->idle_lsn = 0;
    agent_flush(agent, true, out);
}

/* What is more than a position leaves in the same turn of the loop; a mere position waits a moment for company, because
 * it costs the broker a transaction of its own. */
void agent_on_turn(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (agent->state != AGENT_LOADING && agent->state != AGENT_STREAMING)
        return;
    if (outgoing_urgent(agent->outgoing)) {
        agent->position_since_ms = 0;
        agent_flush(agent, false, out);
    } else if (!outgoing_empty(agent->outgoing)) {
        if (agent->position_since_ms == 0)
            agent->position_since_ms = event->now_ms;
    }
}

void agent_on_idle(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    (void)out;
    if (agent->state == AGENT_STREAMING)
        agent->idle_lsn = event->lsn;
}

/* When nothing is on its way, the position of an idle source goes to the broker too, now and then: once it is committed
 * there the slot may follow it, and the agency's log can be recycled although nothing of ours is in it. */
void agent_say_idle(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    struct piece idle = {
        .lsn = agent->idle_lsn, .final = true, .base = agent->captured_base, .commit_time_us = event->time_us
    };

    if (agent->state != AGENT_STREAMING || agent->idle_lsn <= agent->captured_lsn ||
        agent->acked_lsn < agent->captured_lsn || !outgoing_empty(agent->outgoing) ||
        event->now_ms - agent->idle_said_ms < AGENT_POSITION_MS)
        return;
    agent->idle_said_ms = event->now_ms;
    agent->captured_lsn = agent->idle_lsn;
    outgoing_add(agent->outgoing, &idle);
    agent_flush(agent, false, out);
}

/* PROTOCOL 6: one piece without changes, with lsn = L and base S, ends the load. */
void agent_on_loaded(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    struct piece end = {
        .lsn = event->lsn, .final = true, .base = agent->terms.load, .commit_time_us = event->time_us
    };

    if (agent->state != AGENT_LOADING)
        return;
    outgoing_add(agent->outgoing, &end);
    agent->load_closed = true;
    agent->load_lsn = event->lsn;
    agent_flush(agent, false, out);
}

/* ---- feed ---- */

void agent_say_applied(struct agent *agent, struct agent_actions *out)
{
    struct message message = { .kind = MESSAGE_APPLIED };

    message.applied.position = agent->progress.applied;
    agent_send(agent, &message, out);
}

static void batch_remember(struct agent *agent, const struct feed *feed)
{
    struct batch *batch;

    if (agent->batch_count == agent->batch_capacity) {
        agent->batch_capacity = agent->batch_capacity ? 2 * agent->batch_capacity : 64;
        agent->batches = realloc(agent->batches, agent->batch_capacity * sizeof *agent->batches);
        if (!agent->batches)
            abort();
    }
    batch = &agent->batches[agent->batch_count++];
    batch->position = feed->position;
    memcpy(batch->leaf, feed->leaf, HASH_BYTES);
}

void agent_on_feed(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    const struct feed *feed = &event->message->feed;
    struct agent_action *action;

    if (agent->state != AGENT_STREAMING) {
        agent_trouble(agent, event, out, "the broker fed before the load was done");
        return;
    }
    agent->feed_bytes += event->size;
    if (agent->feed_bytes > agent->feed_credit) {
        agent_trouble(agent, event, out, "the broker sent more feed than it had credit for");
        return;
    }
    agent->attempts = 0;
    agent->items_taken += feed->item_count;
    if (feed->final && feed->position > agent->progress.applied)
        batch_remember(agent, feed);
    action = agent_action(out, AGENT_ACTION_APPLY);
    action->feed = feed;
    action->size = event->size;
}

void agent_on_taken(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    struct message message = { .kind = MESSAGE_CREDIT };

    if (agent->state != AGENT_STREAMING)
        return;
    agent->taken_bytes += event->taken;
    if (agent->taken_bytes + agent->options.window_bytes < agent->feed_credit + agent->options.window_bytes / 4)
        return; /* a credit message for each part would cost more than it brings */
    agent->feed_credit = agent->taken_bytes + agent->options.window_bytes;
    message.credit.total = agent->feed_credit;
    agent_send(agent, &message, out);
}

void agent_on_applied(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    uint32_t done = 0;

    while (done < agent->batch_count && agent->batches[done].position <= event->position)
        done++;
    if (event->position > agent->progress.applied) {
        agent->progress.applied = event->position;
        memset(agent->progress.applied_leaf, 0, HASH_BYTES);
        if (done > 0 && agent->batches[done - 1].position == event->position)
            memcpy(agent->progress.applied_leaf, agent->batches[done - 1].leaf, HASH_BYTES);
    }
    memmove(agent->batches, agent->batches + done, (agent->batch_count - done) * sizeof *agent->batches);
    agent->batch_count -= done;
    if (agent->state == AGENT_STREAMING)
        agent_say_applied(agent, out);
}

void agent_on_credit(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (event->message->credit.total > agent->credit)
        agent->credit = event->message->credit.total;
    if (agent->state == AGENT_LOADING || agent->state == AGENT_STREAMING)
        agent_flush(agent, !outgoing_urgent(agent->outgoing), out);
}
