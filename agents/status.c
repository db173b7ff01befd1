#include "agents/status.h"

#include "shell/json.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>

const char *status_line(const struct agent_status *status)
{
    static const char *const lines[AGENT_STATE_COUNT] = {
        [AGENT_CLOSED] = "waiting for the agency's database",
        [AGENT_WAITING] = "waiting for the broker",
        [AGENT_GREETING] = "saying hello to the broker",
        [AGENT_ADOPTING] = "reading the catalog",
        [AGENT_LOADING] = "sending the first load",
        [AGENT_STREAMING] = "in step",
        [AGENT_STOPPED] = "stopped",
    };

    return lines[status->state];
}

static void write_lsn(struct buffer *out, const char *name, uint64_t lsn)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIX64 "/%" PRIX64, lsn >> 32, lsn & UINT32_MAX);
    json_write_text(out, name, text);
}

static uint64_t count_of(const char *array)
{
    struct json_object *parsed = json_tokener_parse(array);
    uint64_t count = json_object_is_type(parsed, json_type_array) ? json_object_array_length(parsed) : 0;

    json_object_put(parsed);
    return count;
}

void status_write(const char *agency, const struct agent_status *status, const char *parked, struct driver *driver,
                  struct buffer *out)
{
    out->length = 0;
    json_begin_object(out, NULL);
    json_write_text(out, "program", "agent");
    json_write_text(out, "agency", agency);
    json_write_text(out, "state", agent_state_name(status->state));
    json_write_text(out, "doing", status_line(status));
    json_write_text(out, "link", status->link_up ? "up" : "down");
    json_write_uint(out, "session", status->session);
    json_write_uint(out, "incarnation", status->incarnation);
    write_lsn(out, "captured", status->captured_lsn);
    write_lsn(out, "acknowledged", status->acked_lsn);
    json_write_uint(out, "unsent_bytes", status->unsent_bytes);
    json_write_uint(out, "applied", status->applied);
    json_write_uint(out, "changes_sent", status->changes_sent);
    json_write_uint(out, "items_taken", status->items_taken);
    if (status->round_trip_us >= 0) {
        json_write_int(out, "round_trip_us", status->round_trip_us);
        json_write_int(out, "clock_offset_us", status->clock_offset_us);
    }
    if (parked)
        json_write_uint(out, "parked", count_of(parked));
    if (driver->ops->facts)
        driver->ops->facts(driver, out);
    if (status->trouble[0])
        json_write_text(out, "trouble", status->trouble);
    json_end_object(out);
}
