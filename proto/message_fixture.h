/* message_fixture.h: one well-formed message of every kind, for tests. PROTOCOL 9 shows the same in hex. */
#ifndef SELARAS_MESSAGE_FIXTURE_H
#define SELARAS_MESSAGE_FIXTURE_H

#include "proto/entry.h"

#include <string.h>

/* Initialisers; elsewhere (struct text)TEXT("..."). */
/* clang-format off */
#define TEXT(literal) { (literal), sizeof(literal) - 1 }
#define VALUE(literal) { (literal), sizeof(literal) - 1, VALUE_SET }
/* clang-format on */
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define FIXTURE_MAX 16
#define FIXTURE_TIME_US INT64_C(1795137247000000) /* 2026-11-20T01:14:07Z */
#define FIXTURE_EPOCH (UINT64_C(1) << 48)

static inline void bytes_count_up(uint8_t *bytes, size_t length, uint8_t first)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(first + i);
}

/* Bytes that are no string: returns how many. */
static inline size_t bytes_put(char *at, const char *bytes, size_t length)
{
    memcpy(at, bytes, length);
    return length;
}

static inline struct change change_fixture(struct arena *arena, struct change change, uint8_t salt)
{
    bytes_count_up(change.salt, sizeof change.salt, salt);
    change_encode(arena, &change);
    commitment_make(change.salt, change.content.bytes, change.content.length, change.commitment);
    return change;
}

/* An update with a moved key, an insert, a delete and a load. */
static inline struct change *changes_fixture(struct arena *arena)
{
    static struct change_field updated[] = {
        { TEXT("nik"), VALUE("6402061505780003"), VALUE("6402061505780001") },
        { TEXT("eligible"), VALUE("true"), VALUE("false") },
        { TEXT("phone"), { .state = VALUE_NULL }, { .state = VALUE_ABSENT } },
    };
    static struct change_field inserted[] = {
        { TEXT("nik"), VALUE("6402065505900002"), { .state = VALUE_ABSENT } },
        { TEXT("village"), VALUE("64.02.06.1001"), { .state = VALUE_ABSENT } },
        { TEXT("premium"), { .state = VALUE_NULL }, { .state = VALUE_ABSENT } },
    };
    static struct change_field deleted[] = {
        { TEXT("nik"), { .state = VALUE_ABSENT }, VALUE("6402061505780004") },
        { TEXT("phone"), { .state = VALUE_ABSENT }, { .state = VALUE_NULL } },
    };
    struct change *changes = arena_array(arena, 4, sizeof *changes);
    struct change common = { .block = TEXT("penerima_bantuan"),
                             .actor = { .state = VALUE_NULL },
                             .ground = { .state = VALUE_NULL } };
    struct change change = common;

    change.operation = OPERATION_UPDATE;
    change.key = (struct text)TEXT("6402061505780003");
    change.old_key = (struct text)TEXT("6402061505780001");
    change.fields = updated;
    change.field_count = COUNT(updated);
    change.actor = (struct value)VALUE("petugas17");
    change.ground = (struct value)VALUE("SK 440/12/2026");
    changes[0] = change_fixture(arena, change, 0);

    change = common;
    change.operation = OPERATION_INSERT;
    change.key = (struct text)TEXT("6402065505900002");
    change.fields = inserted;
    change.field_count = COUNT(inserted);
    changes[1] = change_fixture(arena, change, 32);
    change.operation = OPERATION_LOAD;
    changes[3] = change_fixture(arena, change, 96);

    change = common;
    change.operation = OPERATION_DELETE;
    change.key = (struct text)TEXT("6402061505780004");
    change.fields = deleted;
    change.field_count = COUNT(deleted);
    changes[2] = change_fixture(arena, change, 64);
    return changes;
}

static inline struct message hello_fixture(void)
{
    static struct text fields[] = { TEXT("nik"), TEXT("name"), TEXT("eligible") };
    static struct text stage = TEXT("stage");
    static struct block blocks[2];
    struct message message = { .kind = MESSAGE_HELLO };
    struct hello *hello = &message.hello;

    blocks[0] = (struct block){ .name = TEXT("penerima_bantuan"),
                                .type = TEXT("resident"),
                                .key_fields = { TEXT("nik") },
                                .key_field_count = 1,
                                .insert = true,
                                .delete = DELETE_ROW,
                                .fields = fields,
                                .field_count = COUNT(fields) };
    blocks[1] = (struct block){ .name = TEXT("keluarga"),
                                .type = TEXT("household"),
                                .generated = true,
                                .delete = DELETE_SET,
                                .fields = &stage,
                                .field_count = 1,
                                .constants = { { TEXT("stage"), VALUE("original") } },
                                .constant_count = 1,
                                .references = { { TEXT("stage"), TEXT("penerima_bantuan") } },
                                .reference_count = 1 };
    hello->version = PROTOCOL_VERSION;
    hello->agency = (struct text)TEXT("dinsos");
    hello->software = (struct text)TEXT("selaras-agent 0.1.0");
    hello->incarnation = 3;
    hello->source = (struct source){ TEXT("7301234567890123456"), 1, { 4711, { 0 } } };
    bytes_count_up(hello->source.fence.token, sizeof hello->source.fence.token, 0xa0);
    bytes_count_up(hello->catalog_hash, HASH_BYTES, 0x40);
    hello->blocks = blocks;
    hello->block_count = COUNT(blocks);
    hello->applied = FIXTURE_EPOCH + 1203970;
    bytes_count_up(hello->applied_leaf, HASH_BYTES, 0x60);
    hello->credit = 4194304;
    return message;
}

static inline struct message welcome_fixture(void)
{
    struct message message = { .kind = MESSAGE_WELCOME, .session = 12 };
    struct welcome *welcome = &message.welcome;

    welcome->version = PROTOCOL_VERSION;
    welcome->agency = (struct text)TEXT("dinsos");
    welcome->incarnation = 3;
    welcome->lsn = UINT64_C(0x16b374d48);
    welcome->load_number = 2;
    welcome->base = FIXTURE_EPOCH + 1203969;
    welcome->source = (struct source){ TEXT("7301234567890123456"), 1, { 4710, { 0 } } };
    bytes_count_up(welcome->source.fence.token, sizeof welcome->source.fence.token, 0x90);
    welcome->load = FIXTURE_EPOCH + 17;
    welcome->credit = 8388608;
    welcome->catalog_version = 1;
    bytes_count_up(welcome->catalog_hash, HASH_BYTES, 0x40);
    welcome->catalog = (struct text)TEXT("catalog\n    version = 1\n");
    return message;
}

static inline struct message changes_message_fixture(struct arena *arena)
{
    static struct report reports[] = {
        { REPORT_PARKED, 77, FIXTURE_EPOCH + 1203965, TEXT("penerima_bantuan"),
          TEXT("penerima_bantuan_jk_check (23514)") },
        { REPORT_LINKED, 78, FIXTURE_EPOCH + 1203966, TEXT("penerima_bantuan"), TEXT("6402061505780009") },
    };
    struct message message = { .kind = MESSAGE_CHANGES, .session = 12, .number = 1 };
    struct piece *pieces = arena_array(arena, 3, sizeof *pieces);
    struct change *changes = changes_fixture(arena);

    pieces[0] = (struct piece){ .lsn = UINT64_C(0x16b374d90),
                                .first = 40,
                                .final = true,
                                .base = FIXTURE_EPOCH + 1203970,
                                .commit_time_us = FIXTURE_TIME_US,
                                .fence = { 4711, { 0 } },
                                .reports = reports,
                                .report_count = COUNT(reports),
                                .changes = changes,
                                .change_count = 3 };
    bytes_count_up(pieces[0].fence.token, sizeof pieces[0].fence.token, 0xa0);
    pieces[1] = (struct piece){ .first = 7, .final = true, .nothing_seen = true, .commit_time_us = FIXTURE_TIME_US };
    pieces[1].changes = &changes[3];
    pieces[1].change_count = 1;
    pieces[2] = (struct piece){ .lsn = UINT64_C(0x16b374e00),
                                .base = FIXTURE_EPOCH + 1203971,
                                .commit_time_us = FIXTURE_TIME_US };
    message.changes.pieces = pieces;
    message.changes.piece_count = 3;
    return message;
}

static inline struct message feed_fixture(void)
{
    static struct item_field set[] = {
        { TEXT("eligible"), VALUE("true") },
        { TEXT("premium"), VALUE("42000.00") },
        { TEXT("phone"), { .state = VALUE_NULL } },
    };
    static struct item items[3];
    struct message message = { .kind = MESSAGE_FEED, .session = 12, .number = 2 };

    items[0] = (struct item){ .position = FIXTURE_EPOCH + 1203977,
                              .record = 77,
                              .operation = OPERATION_UPDATE,
                              .block = TEXT("peserta_jkn"),
                              .key = TEXT("6402061505780003"),
                              .fields = set,
                              .field_count = COUNT(set),
                              .reason = { TEXT("put back"), TEXT("dinsos"), TEXT("owner"), TEXT("") } };
    items[1] = (struct item){ .position = FIXTURE_EPOCH + 1203978,
                              .record = 79,
                              .operation = OPERATION_INSERT,
                              .block = TEXT("peserta_jkn"),
                              .fields = set,
                              .field_count = 1 };
    items[2] = (struct item){ .position = FIXTURE_EPOCH + 1203979,
                              .record = 80,
                              .operation = OPERATION_DELETE,
                              .block = TEXT("peserta_jkn"),
                              .key = TEXT("6402061505780004") };
    message.feed.final = true;
    message.feed.position = FIXTURE_EPOCH + 1203979;
    bytes_count_up(message.feed.leaf, HASH_BYTES, 0x80);
    message.feed.items = items;
    message.feed.item_count = COUNT(items);
    return message;
}

/* Fills `ret` and returns how many there are. */
static inline size_t messages_fixture(struct arena *arena, struct message ret[FIXTURE_MAX])
{
    struct message simple[] = {
        { .kind = MESSAGE_ACK,
          .session = 12,
          .number = 1,
          .ack = { UINT64_C(0x16b374d90), 7, FIXTURE_EPOCH + 1203970 } },
        { .kind = MESSAGE_APPLIED, .session = 12, .number = 2, .applied = { FIXTURE_EPOCH + 1203979 } },
        { .kind = MESSAGE_CREDIT, .session = 12, .number = 3, .credit = { 16777216 } },
        { .kind = MESSAGE_PING, .session = 12, .number = 4, .ping = { FIXTURE_TIME_US } },
        { .kind = MESSAGE_PONG, .session = 12, .number = 5, .pong = { FIXTURE_TIME_US, FIXTURE_TIME_US + 3017 } },
        { .kind = MESSAGE_ERROR,
          .session = 12,
          .number = 6,
          .error = { TEXT("gap"), TEXT("message 9 came where 7 was expected") } },
        { .kind = MESSAGE_BYE, .session = 12, .number = 7, .bye = { TEXT("the service stops") } },
        /* What may be nil is nil, what may be empty is empty. */
        { .kind = MESSAGE_HELLO,
          .hello = { .version = PROTOCOL_VERSION, .software = TEXT("peer.py"), .credit = 65536 } },
        { .kind = MESSAGE_WELCOME,
          .session = 1,
          .welcome = { .version = PROTOCOL_VERSION,
                       .agency = TEXT("dinkes"),
                       .incarnation = 1,
                       .catalog_hash = { 1 } } },
        { .kind = MESSAGE_CHANGES, .session = 1, .number = 2 },
        { .kind = MESSAGE_FEED, .session = 1, .number = 3 },
    };
    size_t count = 0;

    ret[count++] = hello_fixture();
    ret[count++] = welcome_fixture();
    ret[count++] = changes_message_fixture(arena);
    ret[count++] = feed_fixture();
    memcpy(&ret[count], simple, sizeof simple);
    return count + COUNT(simple);
}

/* A change of two fields, and the opening of a ledger. */
static inline size_t entries_fixture(struct entry ret[FIXTURE_MAX])
{
    static struct entry_field fields[] = {
        { TEXT("eligible"), VERDICT_PUT_BACK, TEXT("not allowed") },
        { TEXT("phone"), VERDICT_APPLIED, TEXT("owner") },
    };

    ret[0] = (struct entry){ .position = FIXTURE_EPOCH + 1203977,
                             .time_us = FIXTURE_TIME_US + 812,
                             .kind = ENTRY_CHANGE,
                             .agency = TEXT("dinkes"),
                             .sourced = true,
                             .source = { 3, 41, UINT64_C(0x16b374d90) },
                             .base = FIXTURE_EPOCH + 1203970,
                             .commit_time_us = FIXTURE_TIME_US,
                             .clock_known = true,
                             .clock_offset_us = -1200,
                             .clock_uncertainty_us = 350,
                             .type = TEXT("resident"),
                             .record = 77,
                             .other_record = 78,
                             .refers = FIXTURE_EPOCH + 1203971,
                             .operation = OPERATION_UPDATE,
                             .fields = fields,
                             .field_count = COUNT(fields),
                             .catalog_version = 12 };
    bytes_count_up(ret[0].commitment, sizeof ret[0].commitment, 0xc0);
    ret[1] = (struct entry){ .position = FIXTURE_EPOCH, .time_us = FIXTURE_TIME_US, .kind = ENTRY_OPENING };
    ret[2] = ret[0]; /* from a first load */
    ret[2].nothing_seen = true;
    ret[2].base = 0;
    ret[2].clock_known = false;
    ret[2].clock_offset_us = ret[2].clock_uncertainty_us = 0;
    return 3;
}

#endif
