#include "proto/pack.h"

#include <assert.h>

static void pack_fence(msgpack_packer *packer, const struct fence *fence)
{
    if (fence->seq == 0) {
        msgpack_pack_nil(packer);
        return;
    }
    msgpack_pack_array(packer, 2);
    msgpack_pack_uint64(packer, fence->seq);
    pack_bin(packer, fence->token, sizeof fence->token);
}

static void pack_source(msgpack_packer *packer, const struct source *source)
{
    msgpack_pack_array(packer, 3);
    pack_text(packer, source->system);
    msgpack_pack_uint32(packer, source->timeline);
    pack_fence(packer, &source->fence);
}

/* PROTOCOL 4.1 */
static void pack_hello(msgpack_packer *packer, const struct message *message)
{
    const struct hello *hello = &message->hello;

    assert(message->session == 0 && message->number == 0);
    msgpack_pack_uint32(packer, hello->version);
    pack_text(packer, hello->software);
    msgpack_pack_uint32(packer, hello->incarnation);
    pack_source(packer, &hello->source);
    pack_hash_or_nil(packer, hello->catalog_hash);
    pack_blocks(packer, hello->blocks, hello->block_count);
    msgpack_pack_uint64(packer, hello->applied);
    pack_hash_or_nil(packer, hello->applied_leaf);
    msgpack_pack_uint64(packer, hello->credit);
    pack_text(packer, hello->agency);
}

/* PROTOCOL 4.1 */
static void pack_welcome(msgpack_packer *packer, const struct message *message)
{
    const struct welcome *welcome = &message->welcome;

    assert(message->number == 0);
    msgpack_pack_uint32(packer, welcome->version);
    pack_text(packer, welcome->agency);
    msgpack_pack_uint32(packer, welcome->incarnation);
    msgpack_pack_uint64(packer, welcome->lsn);
    msgpack_pack_uint32(packer, welcome->load_number);
    msgpack_pack_uint64(packer, welcome->base);
    pack_source(packer, &welcome->source);
    msgpack_pack_uint64(packer, welcome->load);
    msgpack_pack_uint64(packer, welcome->credit);
    msgpack_pack_uint32(packer, welcome->catalog_version);
    pack_bin(packer, welcome->catalog_hash, HASH_BYTES);
    pack_text_or_nil(packer, welcome->catalog);
}

/* PROTOCOL 5.1 */
static void pack_report(msgpack_packer *packer, const struct report *report)
{
    msgpack_pack_array(packer, 5);
    msgpack_pack_uint8(packer, (uint8_t)report->kind);
    msgpack_pack_uint64(packer, report->record);
    msgpack_pack_uint64(packer, report->position);
    pack_text(packer, report->block);
    pack_text(packer, report->text);
}

/* PROTOCOL 5.2 */
static void pack_change(msgpack_packer *packer, const struct change *change)
{
    assert(change->content.length > 0); /* change_encode came first */
    msgpack_pack_array(packer, 4);
    msgpack_pack_uint8(packer, (uint8_t)change->operation);
    pack_bin(packer, change->salt, sizeof change->salt);
    pack_bin(packer, change->commitment, sizeof change->commitment);
    pack_bin(packer, change->content.bytes, change->content.length);
}

/* PROTOCOL 5 */
static void pack_piece(msgpack_packer *packer, const struct piece *piece)
{
    msgpack_pack_array(packer, 8);
    msgpack_pack_uint64(packer, piece->lsn);
    msgpack_pack_uint32(packer, piece->first);
    pack_bool(packer, piece->final);
    if (piece->nothing_seen)
        msgpack_pack_nil(packer);
    else
        msgpack_pack_uint64(packer, piece->base);
    msgpack_pack_int64(packer, piece->commit_time_us);
    pack_fence(packer, &piece->fence);
    msgpack_pack_array(packer, piece->report_count);
    for (uint32_t i = 0; i < piece->report_count; i++)
        pack_report(packer, &piece->reports[i]);
    msgpack_pack_array(packer, piece->change_count);
    for (uint32_t i = 0; i < piece->change_count; i++)
        pack_change(packer, &piece->changes[i]);
}

static void pack_changes(msgpack_packer *packer, const struct message *message)
{
    const struct changes *changes = &message->changes;

    msgpack_pack_array(packer, changes->piece_count);
    for (uint32_t i = 0; i < changes->piece_count; i++)
        pack_piece(packer, &changes->pieces[i]);
}

static void pack_ack(msgpack_packer *packer, const struct message *message)
{
    msgpack_pack_uint64(packer, message->ack.lsn);
    msgpack_pack_uint32(packer, message->ack.load_number);
    msgpack_pack_uint64(packer, message->ack.base);
}

/* PROTOCOL 7 */
static void pack_item(msgpack_packer *packer, const struct item *item)
{
    msgpack_pack_array(packer, 7);
    msgpack_pack_uint64(packer, item->position);
    pack_text(packer, item->block);
    msgpack_pack_uint64(packer, item->record);
    msgpack_pack_uint8(packer, (uint8_t)item->operation);
    pack_text_or_nil(packer, item->key);
    pack_item_fields(packer, item->fields, item->field_count);
    pack_reason(packer, &item->reason);
}

static void pack_feed(msgpack_packer *packer, const struct message *message)
{
    const struct feed *feed = &message->feed;

    pack_bool(packer, feed->final);
    msgpack_pack_uint64(packer, feed->position);
    pack_hash_or_nil(packer, feed->leaf);
    msgpack_pack_array(packer, feed->item_count);
    for (uint32_t i = 0; i < feed->item_count; i++)
        pack_item(packer, &feed->items[i]);
}

static void pack_applied(msgpack_packer *packer, const struct message *message)
{
    msgpack_pack_uint64(packer, message->applied.position);
}

static void pack_credit(msgpack_packer *packer, const struct message *message)
{
    msgpack_pack_uint64(packer, message->credit.total);
}

static void pack_ping(msgpack_packer *packer, const struct message *message)
{
    msgpack_pack_int64(packer, message->ping.time_us);
}

static void pack_pong(msgpack_packer *packer, const struct message *message)
{
    msgpack_pack_int64(packer, message->pong.time_us);
    msgpack_pack_int64(packer, message->pong.broker_time_us);
}

static void pack_error(msgpack_packer *packer, const struct message *message)
{
    pack_text(packer, message->error.code);
    pack_text(packer, message->error.text);
}

static void pack_bye(msgpack_packer *packer, const struct message *message)
{
    pack_text(packer, message->bye.text);
}

/* `count` is how many values stand behind kind, session and number. A kind without `pack` is reserved. */
static const struct {
    const char *name;
    uint8_t count;
    void (*pack)(msgpack_packer *packer, const struct message *message);
} kinds[MESSAGE_KIND_COUNT] = {
    [MESSAGE_NONE] = { "none", 0, NULL },
    [MESSAGE_HELLO] = { "hello", 10, pack_hello },
    [MESSAGE_WELCOME] = { "welcome", 12, pack_welcome },
    [MESSAGE_CHANGES] = { "changes", 1, pack_changes },
    [MESSAGE_ACK] = { "ack", 3, pack_ack },
    [MESSAGE_FEED] = { "feed", 4, pack_feed },
    [MESSAGE_APPLIED] = { "applied", 1, pack_applied },
    [MESSAGE_CREDIT] = { "credit", 1, pack_credit },
    [MESSAGE_REVIEW] = { "review", 0, NULL },
    [MESSAGE_CHECKPOINT] = { "checkpoint", 0, NULL },
    [MESSAGE_COSIGN] = { "cosign", 0, NULL },
    [MESSAGE_PING] = { "ping", 1, pack_ping },
    [MESSAGE_PONG] = { "pong", 2, pack_pong },
    [MESSAGE_ERROR] = { "error", 2, pack_error },
    [MESSAGE_BYE] = { "bye", 1, pack_bye },
};

const char *message_name(enum message_kind kind)
{
    assert(kind < MESSAGE_KIND_COUNT);
    return kinds[kind].name;
}

void message_pack(const struct message *message, struct buffer *out)
{
    msgpack_packer packer;

    assert(message->kind < MESSAGE_KIND_COUNT && kinds[message->kind].pack);
    pack_start(&packer, out);
    msgpack_pack_array(&packer, 3 + kinds[message->kind].count);
    msgpack_pack_uint8(&packer, (uint8_t)message->kind);
    msgpack_pack_uint64(&packer, message->session);
    msgpack_pack_uint64(&packer, message->number);
    kinds[message->kind].pack(&packer, message);
}

void blocks_pack(const struct block *blocks, uint16_t count, struct buffer *out)
{
    msgpack_packer packer;

    pack_start(&packer, out);
    pack_blocks(&packer, blocks, count);
}

/* The longest heads: 9 bytes of an integer, 5 of text, bin or an array. */
enum { INTEGER_BYTES = 9, HEAD_BYTES = 5 };

size_t message_report_size(const struct report *report)
{
    return 2 + 2 * INTEGER_BYTES + HEAD_BYTES + report->block.length + HEAD_BYTES + report->text.length;
}

size_t message_change_size(const struct change *change)
{
    return 2 + 2 * (2 + HASH_BYTES) + HEAD_BYTES + change->content.length;
}

size_t message_piece_size(const struct piece *piece)
{
    size_t size = 1 + 4 * INTEGER_BYTES + 1 + (1 + INTEGER_BYTES + 2 + sizeof piece->fence.token) + 2 * HEAD_BYTES;

    for (uint32_t i = 0; i < piece->report_count; i++)
        size += message_report_size(&piece->reports[i]);
    for (uint32_t i = 0; i < piece->change_count; i++)
        size += message_change_size(&piece->changes[i]);
    return size;
}

size_t message_item_size(const struct item *item)
{
    const struct reason *reason = &item->reason;
    size_t size = 2 + 2 * INTEGER_BYTES + 3 * HEAD_BYTES + item->block.length + item->key.length;

    for (uint16_t i = 0; i < item->field_count; i++) {
        const struct item_field *field = &item->fields[i];

        size += 1 + 2 * HEAD_BYTES + field->name.length + (field->value.state == VALUE_SET ? field->value.length : 0);
    }
    return size + 1 + 4 * HEAD_BYTES + reason->verdict.length + reason->by.length + reason->rule.length +
           reason->ground.length;
}
