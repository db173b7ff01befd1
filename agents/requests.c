#include "agents/requests.h"

#include "agents/status.h"
#include "shell/json.h"

#include <stdlib.h>
#include <string.h>

static void answer_parked(void *context, const char *json, const struct error *err)
{
    struct control_request *request = context;

    control_answer(&request, json != NULL, json ? json : err->text);
}

struct status_request {
    struct requests *requests;
    struct control_request *request;
};

static void answer_status(void *context, const char *json, const struct error *err)
{
    struct status_request *asked = context;
    struct agent_status status = agent_status(asked->requests->agent);
    struct buffer out = { 0 };

    (void)err; /* then it is not known what is parked: the state says why */
    status_write(asked->requests->agency, &status, json, asked->requests->driver, &out);
    control_answer(&asked->request, true, json_text(&out));
    buffer_free(&out);
    free(asked);
}

static void ask_status(struct requests *requests, struct control_request *request)
{
    struct status_request *asked = malloc(sizeof *asked);

    if (!asked)
        abort();
    *asked = (struct status_request){ requests, request };
    requests->driver->ops->parked(requests->driver, answer_status, asked);
}

static bool is_word(struct text text, const char *word)
{
    return text.length == strlen(word) && memcmp(text.bytes, word, text.length) == 0;
}

/* A record number; "all" is 0 where that is allowed. */
static bool record_parse(struct text text, bool all, uint64_t *ret)
{
    *ret = 0;
    if (is_word(text, "all"))
        return all;
    for (uint32_t i = 0; i < text.length; i++) {
        if (text.bytes[i] < '0' || text.bytes[i] > '9' || *ret > (UINT64_MAX >> 1) / 10 - 1)
            return false;
        *ret = *ret * 10 + (uint64_t)(text.bytes[i] - '0');
    }
    return *ret > 0;
}

static void ask_settle(struct requests *requests, struct control_request *request, const struct text *arguments,
                       bool close, const char *user)
{
    struct arena *arena = arena_new();
    uint64_t record;

    if (!record_parse(arguments[1], !close, &record))
        control_answer(&request, false, close ? "a record is its number" : "a record is its number, or all");
    else
        requests->driver->ops->settle(requests->driver, record, close, user,
                                      close ? arena_copy(arena, arguments[2].bytes, arguments[2].length) : "",
                                      answer_parked, request);
    arena_free(&arena);
}

void requests_handle(void *context, struct control_request *request, const struct text *arguments, int count,
                     const char *user)
{
    struct requests *requests = context;

    if (count == 1 && is_word(arguments[0], "status"))
        ask_status(requests, request);
    else if (count == 1 && is_word(arguments[0], "parked-list"))
        requests->driver->ops->parked(requests->driver, answer_parked, request);
    else if (count == 2 && is_word(arguments[0], "parked-retry"))
        ask_settle(requests, request, arguments, false, user);
    else if (count == 3 && is_word(arguments[0], "parked-close"))
        ask_settle(requests, request, arguments, true, user);
    else
        control_answer(&request, false,
                       "an agent knows status, parked-list, parked-retry RECORD|all and parked-close RECORD WHY");
}
