#include "agents/agent_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct agent_action *agent_action(struct agent_actions *out, enum agent_action_kind kind)
{
    struct agent_action *action;

    if (!out->arena)
        out->arena = arena_new();
    if (out->count == out->capacity) {
        out->capacity = out->capacity ? 2 * out->capacity : 16;
        out->list = realloc(out->list, out->capacity * sizeof *out->list);
        if (!out->list)
            abort();
    }
    action = &out->list[out->count++];
    *action = (struct agent_action){ .kind = kind };
    return action;
}

void agent_actions_reset(struct agent_actions *actions)
{
    actions->count = 0;
    if (actions->arena)
        arena_reset(actions->arena);
}

void agent_actions_free(struct agent_actions *actions)
{
    free(actions->list);
    arena_free(&actions->arena);
    *actions = (struct agent_actions){ 0 };
}

void agent_say(struct agent_actions *out, bool warning, const char *fmt, ...)
{
    struct agent_action *action = agent_action(out, AGENT_ACTION_LOG);
    char text[512];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    action->text = arena_copy(out->arena, text, strlen(text));
    action->warning = warning;
}

/* Numbers the message within the session and appends its frame. Returns the frame's bytes. */
size_t agent_send(struct agent *agent, struct message *message, struct agent_actions *out)
{
    struct agent_action *action = agent_action(out, AGENT_ACTION_SEND);

    if (message->kind != MESSAGE_HELLO) {
        message->session = agent->session;
        message->number = ++agent->sent_number;
    }
    agent->packed.length = 0;
    message_pack(message, &agent->packed);
    action->frame = arena_copy(out->arena, agent->packed.bytes, agent->packed.length);
    action->length = agent->packed.length;
    return agent->packed.length;
}

struct text agent_text(const char *text)
{
    return (struct text){ text, (uint32_t)strlen(text) };
}

bool agent_in_session(const struct agent *agent)
{
    return agent->state >= AGENT_ADOPTING && agent->state <= AGENT_STREAMING;
}

/* Stops for good, and tells the broker why. */
void agent_stop(struct agent *agent, const char *code, const char *why, struct agent_actions *out)
{
    struct agent_action *action;

    if (agent->state == AGENT_STOPPED)
        return;
    if (code && agent->link_up) { /* also between sessions: the broker hears at any time why an agent stops */
        struct message message = { .kind = MESSAGE_ERROR };

        message.error.code = agent_text(code);
        message.error.text = agent_text(why);
        agent_send(agent, &message, out);
    }
    agent->state = AGENT_STOPPED;
    snprintf(agent->trouble, sizeof agent->trouble, "%s", why);
    action = agent_action(out, AGENT_ACTION_STOP);
    action->text = arena_copy(out->arena, why, strlen(why));
}

/* ---- between sessions ---- */

/* Doubles from the least pause to the longest, and spreads: a broker that comes back must not hear all agents at once.
 */
static int64_t pause_ms(const struct agent *agent, uint32_t random)
{
    int64_t most = AGENT_PAUSE_MIN_MS;

    for (unsigned i = 0; i < agent->attempts && most < AGENT_PAUSE_MAX_MS; i++)
        most *= 2;
    if (most > AGENT_PAUSE_MAX_MS)
        most = AGENT_PAUSE_MAX_MS;
    return most / 2 + (int64_t)((uint64_t)most / 2 * random / UINT32_MAX);
}

/* Ends the session, if there is one, and says hello again after a pause. What was captured and is not acknowledged is
 * read again from the slot; what was fed and is not applied is fed again. */
void agent_leave(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    if (agent->state == AGENT_STOPPED)
        return;
    if (agent->state == AGENT_LOADING || agent->state == AGENT_STREAMING) {
        agent_action(out, AGENT_ACTION_PAUSE)->yes = true;
        agent_action(out, AGENT_ACTION_FORGET);
    }
    agent->paused = true;
    outgoing_clear(agent->outgoing);
    agent->hello_at_ms = event->now_ms + pause_ms(agent, event->random);
    agent->settle_by_ms = agent->hello_at_ms + AGENT_SETTLE_MS;
    agent->state = agent->open ? AGENT_WAITING : AGENT_CLOSED;
}

/* As agent_leave(), with a reason that is logged once, not at every attempt. */
void agent_trouble(struct agent *agent, const struct agent_event *event, struct agent_actions *out, const char *fmt,
                   ...)
{
    char text[sizeof agent->trouble];
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(text, sizeof text, fmt, arguments);
    va_end(arguments);
    if (strcmp(text, agent->trouble) != 0)
        agent_say(out, true, "%s", text);
    memcpy(agent->trouble, text, sizeof text);
    agent_leave(agent, event, out);
}
