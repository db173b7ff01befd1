/* selaras-broker: reads its settings, then turns what arrives from agencies, operators and PostgreSQL into events of
 * the core and does what the core asks for. */
#include "daemon/broker.h"
#include "daemon/crashes.h"
#include "daemon/net.h"
#include "daemon/preview_json.h"
#include "daemon/reconcile.h"
#include "daemon/settings.h"
#include "daemon/status.h"
#include "daemon/store.h"
#include "shell/control.h"
#include "shell/log.h"
#include "shell/notify.h"
#include "shell/process.h"
#include "shell/text.h"
#include "shell/zpl.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { TICK_MS = 250 };

/* The whole process. */
struct program {
    struct arena *arena; /* settings and catalog */
    struct broker_settings settings;
    const struct catalog *catalog;
    struct text catalog_text;
    struct key key;
    struct loop *loop;
    struct net *net;
    struct store *store;
    struct control *control;
    struct loop_source *tick;
    struct crashes *crashes; /* NULL: they are not counted */
    struct broker *broker;   /* NULL while the database is away or another broker is active */
    struct broker_actions actions;
    struct route lost;   /* a message to it could not be sent in this step */
    struct batch *batch; /* in flight: its memory is ours to free when the core is dropped */
    struct buffer json;
    int64_t since_us;
    const char *waiting;
    bool failing; /* said already that the database is away */
    int status;
};

/* ---- actions ---- */

static void act(struct program *program, const struct broker_action *action)
{
    struct control_request *request;

    switch (action->kind) {
    case BROKER_ACTION_SEND:
        if (!net_send(program->net, &action->route, action->frame.bytes, action->frame.length))
            program->lost = action->route;
        break;
    case BROKER_ACTION_LOOKUP:
        program->batch = action->batch;
        store_lookup(program->store, action->batch);
        break;
    case BROKER_ACTION_STORE:
        program->batch = action->batch;
        store_write(program->store, action->batch);
        break;
    case BROKER_ACTION_SCAN:
        store_scan(program->store, action->scan);
        break;
    case BROKER_ACTION_ANSWER:
        request = action->request;
        if (request) /* what the broker asks of itself, nobody waits for */
            control_answer(&request, action->ok,
                           action->preview ? preview_json(&program->json, action->preview) : action->text);
        break;
    case BROKER_ACTION_LOG:
        log_about((enum log_level)action->level,
                  &(struct log_about){ .agency = action->agency, .type = action->type, .position = action->position },
                  "%s", action->text);
        break;
    case BROKER_ACTION_STOP:
        log_write(LOG_ERROR, "%s", action->text);
        program->status = EXIT_FAILURE;
        loop_end(program->loop);
        break;
    case BROKER_ACTION_COUNT:
        break;
    }
}

static void step(struct program *program, struct broker_event *event)
{
    if (!program->broker)
        return;
    event->now_us = loop_time_us();
    event->monotonic_ms = loop_monotonic_ms();
    broker_step(program->broker, event, &program->actions);
    program->lost.length = 0;
    for (size_t i = 0; i < program->actions.count; i++)
        act(program, &program->actions.actions[i]);
    if (program->lost.length > 0) { /* one at a time: the next message to another that is gone finds it too */
        struct broker_event lost = { .kind = BROKER_EVENT_LOST };

        lost.route = program->lost;
        step(program, &lost);
    }
}

/* ---- the store ---- */

/* Drops what the core knew: PostgreSQL knows better. Agencies are told to say hello when they next speak. */
static void drop_broker(struct program *program)
{
    struct control_request *request;

    while (program->broker && (request = broker_abandoned(program->broker)))
        control_answer(&request, false, "the broker's database is away: try again");
    broker_free(&program->broker);
    if (program->batch)
        arena_free(&program->batch->arena);
    program->batch = NULL;
}

static void on_ready(void *context, const struct ledger_state *state)
{
    struct program *program = context;
    struct broker_options options = {
        .working = program->crashes ? crashes_working(program->crashes) : NULL,
        .window_bytes = program->settings.window_bytes,
        .total_bytes = program->settings.total_bytes,
        .stage_bytes = program->settings.stage_bytes,
        .batch_changes = program->settings.batch_changes,
        .feed_items = program->settings.feed_items,
        .cache_bytes = program->settings.cache_bytes,
    };
    struct broker_event crashed = { .kind = BROKER_EVENT_CRASHED };
    struct error err;

    if (getrandom(options.seed, sizeof options.seed, 0) != (ssize_t)sizeof options.seed)
        abort();
    drop_broker(program);
    if (broker_new(&options, program->catalog, program->catalog_text, state, &program->broker, &err) < 0) {
        log_write(LOG_ERROR, "%s", err.text);
        program->status = EXIT_FAILURE;
        loop_end(program->loop);
        return;
    }
    program->waiting = NULL;
    program->failing = false;
    log_write(LOG_NOTE, "active on %s, catalog %u, ledger at entry %llu", net_endpoint(program->net),
              program->catalog->version, (unsigned long long)FEED_SEQUENCE(state->head));
    notify_ready("active");
    while (program->crashes && crashes_take(program->crashes, &crashed.working))
        step(program, &crashed);
    step(program, &(struct broker_event){ .kind = BROKER_EVENT_TICK });
}

static void on_waiting(void *context)
{
    struct program *program = context;

    program->waiting = "another broker is active on this database";
    log_write(LOG_NOTE, "standing by: %s", program->waiting);
    notify_ready("standing by: another broker is active");
}

static void on_found(void *context, struct batch *batch)
{
    step(context, &(struct broker_event){ .kind = BROKER_EVENT_FOUND, .batch = batch });
}

static void on_stored(void *context, struct batch *batch)
{
    struct program *program = context;

    program->batch = NULL; /* the core frees it */
    step(program, &(struct broker_event){ .kind = BROKER_EVENT_STORED, .batch = batch });
}

static void on_refused_batch(void *context, struct batch *batch, const struct error *why)
{
    struct program *program = context;
    struct broker_event event = { .kind = BROKER_EVENT_REFUSED };

    program->batch = NULL; /* the core frees it */
    event.batch = batch;
    event.why = why->text;
    step(program, &event);
}

static void on_scanned(void *context, struct scan *scan)
{
    struct program *program = context;

    if (program->broker)
        step(program, &(struct broker_event){ .kind = BROKER_EVENT_SCANNED, .scan = scan });
    else
        arena_free(&scan->arena);
}

static void on_failed(void *context, const struct error *err)
{
    struct program *program = context;

    drop_broker(program);
    if (err->code == ERR_RETRY) {
        if (!program->failing)
            log_write(LOG_ERROR, "%s; nothing is lost: agencies keep their changes until it is back", err->text);
        program->failing = true;
        program->waiting = "the broker's database is away";
        notify_status("waiting for the database");
        return;
    }
    log_write(LOG_ERROR, "%s", err->text);
    program->status = EXIT_FAILURE;
    loop_end(program->loop);
}

/* ---- the net ---- */

static bool on_door(void *context)
{
    const struct program *program = context;

    return program->broker != NULL;
}

static uint16_t on_key(void *context, const uint8_t key[32])
{
    const struct program *program = context;

    return program->broker ? broker_agency_of_key(program->broker, key) : 0;
}

static void on_frame(void *context, uint16_t agency, const struct route *route, const void *bytes, size_t length)
{
    struct broker_event event = { .kind = BROKER_EVENT_FRAME };

    event.agency = agency;
    event.route = *route;
    event.frame = bytes;
    event.length = length;
    step(context, &event);
}

static void on_refused(void *context, uint16_t agency, const struct route *route, const char *why)
{
    struct program *program = context;
    struct message message = { .kind = MESSAGE_ERROR };
    struct buffer packed = { 0 };

    if (!program->broker)
        return; /* nobody is known while the database is away; the agent asks again */
    message.error.code = agency ? (struct text){ "malformed", 9 } : (struct text){ "revoked", 7 };
    message.error.text =
        agency ? (struct text){ why, (uint32_t)strlen(why) } : (struct text){ "this key is no agency's", 23 };
    message_pack(&message, &packed);
    net_send(program->net, route, packed.bytes, packed.length);
    buffer_free(&packed);
}

/* ---- operators ---- */

static struct text argument(const struct text *arguments, int count, int at)
{
    return at < count ? arguments[at] : (struct text){ "", 0 };
}

static bool verb_is(struct text verb, const char *name)
{
    return verb.length == strlen(name) && memcmp(verb.bytes, name, verb.length) == 0;
}

static void on_key_verb(struct program *program, struct control_request *request, bool revoke, struct text name,
                        struct text hex, const char *user)
{
    struct broker_event event = { .kind = revoke ? BROKER_EVENT_REVOKE : BROKER_EVENT_ENROL };
    char name_text[33], hex_text[65];
    uint8_t key[32];
    struct error err;

    if (name.length == 0 || name.length >= sizeof name_text) {
        control_answer(&request, false, "an agency's name has 1 to 32 letters");
        return;
    }
    snprintf(name_text, sizeof name_text, "%.*s", (int)name.length, name.bytes);
    snprintf(hex_text, sizeof hex_text, "%.*s", (int)(hex.length < 64 ? hex.length : 64), hex.bytes);
    if (!revoke && (hex.length != 64 || key_parse(hex_text, key, &err) < 0)) {
        control_answer(&request, false, "a public key is 64 hexadecimal digits: selaras key show FILE prints it");
        return;
    }
    event.name = name_text;
    event.key = key;
    event.request = request;
    event.user = user;
    step(program, &event);
}

/* agency-resume and agency-reload: NAME GROUND. */
static void on_remedy_verb(struct program *program, struct control_request *request, enum broker_event_kind kind,
                           const struct text arguments[2], const char *user)
{
    scoped(arena_free) struct arena *arena = arena_new();
    struct broker_event event = { .kind = kind };

    event.name = arena_copy(arena, arguments[0].bytes, arguments[0].length);
    event.ground = arena_copy(arena, arguments[1].bytes, arguments[1].length);
    event.request = request;
    event.user = user;
    step(program, &event);
}

/* agency-mode: NAME MODE TABLE GROUND; TABLE is empty for all of them. */
static void on_mode_verb(struct program *program, struct control_request *request, const struct text arguments[4],
                         const char *user)
{
    scoped(arena_free) struct arena *arena = arena_new();
    struct broker_event event = { .kind = BROKER_EVENT_MODE };

    event.name = arena_copy(arena, arguments[0].bytes, arguments[0].length);
    event.mode = agency_mode_named(arena_copy(arena, arguments[1].bytes, arguments[1].length));
    event.table = arena_copy(arena, arguments[2].bytes, arguments[2].length);
    event.ground = arena_copy(arena, arguments[3].bytes, arguments[3].length);
    if (event.mode == MODE_COUNT || arguments[2].length > NAME_BYTES) {
        control_answer(&request, false, "a mode is observe, publish or full, and a table the name of a block");
        return;
    }
    event.request = request;
    event.user = user;
    step(program, &event);
}

/* preview: NAME TABLE SAMPLES; TABLE is empty for all that observe. */
static void on_preview_verb(struct program *program, struct control_request *request, const struct text arguments[3])
{
    scoped(arena_free) struct arena *arena = arena_new();
    struct broker_event event = { .kind = BROKER_EVENT_PREVIEW };

    event.name = arena_copy(arena, arguments[0].bytes, arguments[0].length);
    event.table = arena_copy(arena, arguments[1].bytes, arguments[1].length);
    event.record = strtoull(arena_copy(arena, arguments[2].bytes, arguments[2].length), NULL, 10);
    event.request = request;
    step(program, &event);
}

/* reveal TYPE RECORD WHAT: TYPE is empty and RECORD 0 when it is about more than one record. */
static void on_reveal_verb(struct program *program, struct control_request *request, const struct text arguments[3],
                           const char *user)
{
    struct broker_event event = { .kind = BROKER_EVENT_REVEAL };
    char type[33], digits[24], what[REVEAL_BYTES_MAX + 1];

    if (arguments[0].length >= sizeof type || arguments[1].length >= sizeof digits ||
        arguments[2].length >= sizeof what || arguments[2].length == 0) {
        control_answer(&request, false,
                       "a reveal says a record type, a record number and in at most 400 bytes what of it");
        return;
    }
    snprintf(type, sizeof type, "%.*s", (int)arguments[0].length, arguments[0].bytes);
    snprintf(digits, sizeof digits, "%.*s", (int)arguments[1].length, arguments[1].bytes);
    snprintf(what, sizeof what, "%.*s", (int)arguments[2].length, arguments[2].bytes);
    event.name = type;
    event.record = strtoull(digits, NULL, 10);
    if (event.record > INT64_MAX) {
        control_answer(&request, false, "no record has such a number");
        return;
    }
    event.what = what;
    event.request = request;
    event.user = user;
    step(program, &event);
}

/* hold-release and hold-reject: NUMBER GROUND RECORDS, which is empty or a list. */
static void on_hold_verb(struct program *program, struct control_request *request, enum broker_event_kind kind,
                         const struct text arguments[3], const char *user)
{
    scoped(arena_free) struct arena *arena = arena_new();
    struct broker_event event = { .kind = kind };

    event.record = strtoull(arena_copy(arena, arguments[0].bytes, arguments[0].length), NULL, 10);
    event.ground = arena_copy(arena, arguments[1].bytes, arguments[1].length);
    event.what = arena_copy(arena, arguments[2].bytes, arguments[2].length);
    event.request = request;
    event.user = user;
    step(program, &event);
}

/* record-same and record-different: TYPE KEEP OTHER GROUND DRY, which is empty when it is to be done. */
static void on_same_verb(struct program *program, struct control_request *request, enum broker_event_kind kind,
                         const struct text arguments[5], const char *user)
{
    scoped(arena_free) struct arena *arena = arena_new();
    struct broker_event event = { .kind = kind };

    event.name = arena_copy(arena, arguments[0].bytes, arguments[0].length);
    event.record = strtoull(arena_copy(arena, arguments[1].bytes, arguments[1].length), NULL, 10);
    event.other = strtoull(arena_copy(arena, arguments[2].bytes, arguments[2].length), NULL, 10);
    event.ground = arena_copy(arena, arguments[3].bytes, arguments[3].length);
    event.dry = arguments[4].length > 0;
    event.request = request;
    event.user = user;
    if (event.record > INT64_MAX || event.other > INT64_MAX)
        control_answer(&request, false, "no record has such a number");
    else
        step(program, &event);
}

static void on_control(void *context, struct control_request *request, const struct text *arguments, int count,
                       const char *user)
{
    struct program *program = context;
    struct text verb = argument(arguments, count, 0);
    struct status_about about = { .endpoint = net_endpoint(program->net),
                                  .since_us = program->since_us,
                                  .waiting = program->waiting };

    if (verb_is(verb, "status"))
        control_answer(&request, true, status_json(&program->json, &about, program->broker));
    else if (!program->broker)
        control_answer(&request, false, program->waiting ? program->waiting : "the broker is starting");
    else if (verb_is(verb, "key-list"))
        control_answer(&request, true, keys_json(&program->json, program->broker));
    else if (verb_is(verb, "key-enrol") && count == 3)
        on_key_verb(program, request, false, arguments[1], arguments[2], user);
    else if (verb_is(verb, "key-revoke") && count == 2)
        on_key_verb(program, request, true, arguments[1], argument(arguments, count, 2), user);
    else if (verb_is(verb, "agency-resume") && count == 3)
        on_remedy_verb(program, request, BROKER_EVENT_RESUME, arguments + 1, user);
    else if (verb_is(verb, "agency-reload") && count == 3)
        on_remedy_verb(program, request, BROKER_EVENT_RELOAD, arguments + 1, user);
    else if (verb_is(verb, "preview") && count == 4)
        on_preview_verb(program, request, arguments + 1);
    else if (verb_is(verb, "agency-mode") && count == 5)
        on_mode_verb(program, request, arguments + 1, user);
    else if (verb_is(verb, "hold-release") && count == 4)
        on_hold_verb(program, request, BROKER_EVENT_RELEASE, arguments + 1, user);
    else if (verb_is(verb, "hold-reject") && count == 4)
        on_hold_verb(program, request, BROKER_EVENT_REJECT, arguments + 1, user);
    else if (verb_is(verb, "record-same") && count == 6)
        on_same_verb(program, request, BROKER_EVENT_SAME, arguments + 1, user);
    else if (verb_is(verb, "record-different") && count == 6)
        on_same_verb(program, request, BROKER_EVENT_DIFFERENT, arguments + 1, user);
    else if (verb_is(verb, "reveal") && count == 4)
        on_reveal_verb(program, request, arguments + 1, user);
    else
        control_answer(&request, false, "the broker does not know this request: is `selaras` of the same version?");
}

/* ---- life ---- */

static void on_tick(void *context)
{
    notify_watchdog(); /* the loop turns; whether batches do is what `selaras status` shows */
    step(context, &(struct broker_event){ .kind = BROKER_EVENT_TICK });
}

static void on_stop(void *context)
{
    struct program *program = context;

    log_write(LOG_NOTE, "stopping");
    notify_stopping("stopping");
    loop_end(program->loop);
}

static void on_reload(void *context)
{
    (void)context;
    notify_reloading();
    log_write(LOG_NOTE,
              "no setting of the broker changes while it runs: restart it to read broker.zpl and the catalog again");
    notify_ready("active");
}

/* Everything a file can be wrong about. */
static int configure(struct program *program, const char *path, struct error *err)
{
    const struct tree *tree;
    struct reconciler *reconciler = NULL;
    const char *text;
    size_t length;

    if (broker_settings_read(program->arena, path, &program->settings, err) < 0 ||
        key_read(program->settings.key, &program->key, err) < 0)
        return err->code;
    if (file_read(program->arena, program->settings.catalog, &text, &length, err) < 0 ||
        zpl_parse(program->arena, program->settings.catalog, text, length, &tree, err) < 0)
        return err->code;
    if (catalog_build(program->arena, tree, text, length, &program->catalog, err) < 0 ||
        reconciler_new(program->catalog, &reconciler, err) < 0)
        return error_wrap(err, "%s", program->settings.catalog);
    reconciler_free(&reconciler);
    program->catalog_text = (struct text){ text, (uint32_t)length };
    return 0;
}

/* Beside the control socket: /run is gone with the machine's power, which is nobody's fault here. */
static void count_crashes(struct program *program)
{
    const char *path = arena_printf(program->arena, "%s.crashes", program->settings.control);
    struct error err;

    if (crashes_open(path, &program->crashes, &err) < 0)
        log_write(LOG_WARN, "%s: should an agency's input crash the broker, nothing will tell which one", err.text);
}

static int run(struct program *program, struct error *err)
{
    const struct net_sink net_sink = { program, on_door, on_key, on_frame, on_refused };
    const struct store_sink store_sink = { program,   on_ready,         on_waiting, on_found,
                                           on_stored, on_refused_batch, on_scanned, on_failed };

    if (net_open(program->loop, program->settings.endpoint, &program->key, &net_sink, &program->net, err) < 0 ||
        control_open(program->loop, program->settings.control, on_control, program, &program->control, err) < 0)
        return err->code;
    key_wipe(&program->key);
    count_crashes(program);
    program->waiting = "the broker is starting";
    program->store = store_open(program->loop, program->settings.database, program->catalog, &store_sink);
    program->tick = loop_timer(program->loop, TICK_MS, false, on_tick, program);
    loop_on_stop(program->loop, on_stop, program);
    loop_on_reload(program->loop, on_reload, program);
    loop_run(program->loop);
    return 0;
}

static void release(struct program *program)
{
    loop_remove(&program->tick);
    control_close(&program->control);
    net_close(&program->net);
    store_close(&program->store);
    drop_broker(program);
    crashes_close(&program->crashes);
    free(program->actions.actions);
    buffer_free(&program->json);
    key_wipe(&program->key);
    arena_free(&program->arena);
}

/* Reads the files, and with --check the database too, and says what is wrong. */
static int check_database(struct program *program, struct error *err)
{
    struct ledger_state state = { 0 };

    return store_prepare(program->settings.database, program->catalog, program->arena, &state, false, err);
}

static const char help[] =
    "Usage: selaras-broker [--check] FILE\n"
    "Keeps the databases of a region's agencies in step. FILE is broker.zpl; see selaras-broker(8).\n"
    "\n"
    "  --check    validate FILE, the catalog, the key and the database, and end\n"
    "  --help     show this\n"
    "  --version  show the version\n";

int main(int argc, char **argv)
{
    static const struct option options[] = { { "check", no_argument, NULL, 'c' },
                                             { "help", no_argument, NULL, 'h' },
                                             { "version", no_argument, NULL, 'v' },
                                             { 0 } };
    struct program program = { .arena = arena_new(), .status = EXIT_SUCCESS };
    bool check = false;
    struct error err = { 0 };
    int option;

    text_start();
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h' || option == 'v') {
            fputs(option == 'h' ? help : "selaras-broker " SELARAS_VERSION "\n", stdout);
            arena_free(&program.arena);
            return EXIT_SUCCESS;
        }
        if (option != 'c')
            return 2;
        check = true;
    }
    if (argc - optind != 1) {
        fputs(help, stderr);
        return 2;
    }
    process_clean_environment();
    process_keep_memory();
    log_start("selaras-broker", NULL, LOG_NOTE);
    program.loop = loop_new();
    program.since_us = loop_time_us();
    if (configure(&program, argv[optind], &err) < 0 ||
        (check ? check_database(&program, &err) : run(&program, &err)) < 0) {
        log_write(LOG_ERROR, "%s", err.text);
        program.status = EXIT_FAILURE;
    }
    release(&program);
    loop_free(&program.loop);
    return program.status;
}
