#include "agents/postgres/stream.h"
#include "agents/postgres/beyond.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The source transaction that is being read. */
struct transaction {
    bool open;
    bool known; /* the broker has it already */
    bool ours;  /* an apply of ours: its origin is */
    bool said;  /* it said what had been applied */
    int64_t commit_time_us;
    struct applied applied;
    struct fence fence;
};

/* Where the columns of selaras.fence stand. */
struct fence_table {
    uint32_t id; /* 0: not seen yet */
    int seq, token;
};

struct stream {
    struct stream_options options;
    struct fold *fold;
    struct beyond *beyond;
    struct arena *message_arena;     /* lives for one message */
    struct arena *transaction_arena; /* for one transaction */
    struct arena *piece_arena;
    struct transaction transaction;
    struct fence_table fence_table;
    uint64_t lsn;
    int64_t time_us;
    feed_position base, earlier; /* now, and before the last apply */
    bool left;                   /* pieces of the last transaction wait */
    uint32_t number;             /* of the next change */
    uint32_t reported;
    uint32_t problem_count;
    struct error problem;
};

static void transaction_end(struct stream *stream)
{
    fold_reset(stream->fold);
    beyond_reset(stream->beyond);
    arena_reset(stream->transaction_arena);
    stream->transaction = (struct transaction){ 0 };
    stream->left = false;
}

static int on_begin(struct stream *stream, const struct pgoutput_message *message, struct error *err)
{
    if (stream->transaction.open)
        return error_set(err, ERR_STOP, "the server's change stream begins a transaction within a transaction");
    transaction_end(stream);
    stream->transaction.open = true;
    stream->transaction.known = message->begin.final_lsn < stream->options.lsn;
    stream->transaction.commit_time_us = message->begin.commit_time_us;
    return 0;
}

/* The position that was set as the origin's is only asked for when the transaction says nothing itself. */
static int on_origin(struct stream *stream, const struct pgoutput_message *message, struct error *err)
{
    struct text name = message->origin.name;

    (void)err;
    if (name.length != strlen(stream->options.origin) || memcmp(name.bytes, stream->options.origin, name.length) != 0)
        return 0;
    stream->transaction.ours = true;
    stream->transaction.applied.position = message->origin.lsn;
    return 0;
}

static int column_named(const struct pgoutput_relation *relation, const char *name)
{
    for (uint16_t i = 0; i < relation->column_count; i++) {
        struct text column = relation->columns[i].name;

        if (column.length == strlen(name) && memcmp(column.bytes, name, column.length) == 0)
            return i;
    }
    return -1;
}

static int on_relation(struct stream *stream, const struct pgoutput_message *message, struct error *err)
{
    const struct pgoutput_relation *relation = &message->relation;
    struct fence_table *fence = &stream->fence_table;

    if (relation->schema.length == 7 && memcmp(relation->schema.bytes, "selaras", 7) == 0 &&
        relation->name.length == 5 && memcmp(relation->name.bytes, "fence", 5) == 0) {
        *fence = (struct fence_table){ relation->id, column_named(relation, "seq"), column_named(relation, "token") };
        if (fence->seq < 0 || fence->token < 0)
            return error_set(err, ERR_STOP, "table selaras.fence is not the one that selaras-agent --prepare makes");
    }
    return fold_relation(stream->fold, relation, err);
}

/* bytea in hex format: \x and two digits a byte. */
static bool token_read(struct value value, uint8_t token[16])
{
    static const char digits[] = "0123456789abcdef";

    if (value.state != VALUE_SET || value.length != 34 || memcmp(value.bytes, "\\x", 2) != 0)
        return false;
    for (int i = 0; i < 32; i++) {
        const char *digit = memchr(digits, value.bytes[2 + i], 16);

        if (!digit)
            return false;
        token[i / 2] = (uint8_t)(token[i / 2] << 4 | (digit - digits));
    }
    return true;
}

static uint64_t seq_read(struct value value)
{
    uint64_t seq = 0;

    if (value.state != VALUE_SET || value.length == 0 || value.length > 18)
        return 0;
    for (uint32_t i = 0; i < value.length; i++) {
        if (value.bytes[i] < '0' || value.bytes[i] > '9')
            return 0;
        seq = seq * 10 + (uint64_t)(value.bytes[i] - '0');
    }
    return seq;
}

static int on_fence(struct stream *stream, const struct pgoutput_row *row, struct error *err)
{
    struct fence fence = { 0 };

    if (row->count <= stream->fence_table.seq || row->count <= stream->fence_table.token)
        return error_set(err, ERR_STOP, "a row of selaras.fence does not fit its table");
    fence.seq = seq_read(row->values[stream->fence_table.seq]);
    if (fence.seq == 0 || !token_read(row->values[stream->fence_table.token], fence.token))
        return error_set(err, ERR_STOP, "a row of selaras.fence cannot be read: only the agent may write there");
    if (fence.seq > stream->transaction.fence.seq)
        stream->transaction.fence = fence;
    return 0;
}

/* Rows that an apply of ours wrote are not changes of this agency, but what its triggers and cascades did may be. */
static int on_change(struct stream *stream, const struct pgoutput_message *message, struct error *err)
{
    bool fence = message->kind != PGOUTPUT_TRUNCATE && stream->fence_table.id != 0 &&
                 message->change.relation == stream->fence_table.id;

    if (!stream->transaction.open)
        return error_set(err, ERR_STOP, "the server's change stream has a row outside of any transaction");
    if (stream->transaction.known)
        return 0;
    if (fence)
        return message->kind == PGOUTPUT_INSERT ? on_fence(stream, &message->change.row, err) : 0;
    return stream->transaction.ours ? beyond_add(stream->beyond, message, err) : fold_add(stream->fold, message, err);
}

static bool has_prefix(const struct pgoutput_message *message, const char *name)
{
    struct text prefix = message->message.prefix;

    return prefix.length == strlen(name) && memcmp(prefix.bytes, name, prefix.length) == 0;
}

/* Who makes the transaction and why, as an application of the agency may say of any of its own. */
static void on_witness(struct stream *stream, const struct pgoutput_message *message)
{
    static const char *const prefixes[] = { "selaras.actor", "selaras.ground" };

    for (int i = 0; i < 2; i++)
        if (has_prefix(message, prefixes[i]))
            fold_witness(stream->fold, i, message->message.content);
}

/* What an apply transaction says of itself. Anyone may write such messages: only those under our origin are heard. */
static int on_message(struct stream *stream, const struct pgoutput_message *message, struct error *err)
{
    struct transaction *transaction = &stream->transaction;
    struct arena *arena = stream->transaction_arena;
    struct text content = message->message.content;

    if (!transaction->open || transaction->known || !message->message.transactional)
        return 0;
    if (!transaction->ours)
        on_witness(stream, message);
    if (!transaction->ours || !has_prefix(message, APPLIED_PREFIX))
        return 0;
    if (transaction->said)
        return error_set(err, ERR_DOUBT,
                         "a transaction under the origin %s says twice what it applied: something else writes there",
                         stream->options.origin);
    content.bytes = arena_copy(arena, content.bytes, content.length);
    if (applied_read(arena, content.bytes, content.length, &transaction->applied, err) < 0)
        return err->code;
    transaction->said = true;
    return 0;
}

/* A seed of its own for each transaction, from the stream's. */
static int end_fold(struct stream *stream, struct error *err)
{
    const struct absent_moment moment = { stream->lsn, stream->time_us, stream->transaction.fence.seq > 0 };
    uint8_t seed[32];

    if (stream->options.absents && fold_absences(stream->fold, stream->options.absents, &moment, err) < 0)
        return err->code;
    commitment_make(stream->options.seed, &stream->lsn, sizeof stream->lsn, seed);
    stream->problem_count = fold_end(stream->fold, seed, &stream->problem);
    return 0;
}

/* An apply of ours: from here on this agency has seen the feed up to its position. */
static int end_ours(struct stream *stream, enum stream_found *ret, struct error *err)
{
    struct transaction *transaction = &stream->transaction;
    feed_position position = transaction->applied.position;
    bool known = transaction->said || position > 0;

    if (known && position < stream->base)
        return error_set(err, ERR_DOUBT,
                         "what this database has applied went back from feed position %" PRIu64 " to %" PRIu64
                         ": it was restored, or something else writes under the origin %s",
                         stream->base, position, stream->options.origin);
    stream->earlier = stream->base;
    if (known)
        stream->base = position;
    beyond_end(stream->beyond, transaction->said ? &transaction->applied : NULL, stream->transaction_arena,
               stream->fold);
    if (end_fold(stream, err) < 0)
        return err->code;
    stream->left = fold_left(stream->fold) || transaction->applied.report_count > 0 || transaction->fence.seq > 0;
    *ret = stream->left ? STREAM_PIECES : STREAM_BASE;
    return 0;
}

int64_t stream_emptied(const struct stream *stream, struct error *ret_why)
{
    uint32_t absence_s = 0;
    bool refilled;

    fold_emptied(stream->fold, &refilled, ret_why);
    for (uint16_t i = 0; i < stream->options.mapping->block_count; i++)
        if (stream->options.mapping->blocks[i].absence_s > absence_s)
            absence_s = stream->options.mapping->blocks[i].absence_s;
    if (stream->options.absents && stream->options.absents->count > 0)
        refilled = false; /* another table is being reloaded too */
    return stream->time_us + (refilled ? 0 : (int64_t)absence_s * 1000000);
}

static int end_local(struct stream *stream, enum stream_found *ret, struct error *err)
{
    struct error why;
    bool refilled;

    if (fold_emptied(stream->fold, &refilled, &why)) {
        *ret = STREAM_EMPTIED;
        return 0;
    }
    if (end_fold(stream, err) < 0)
        return err->code;
    stream->left = fold_left(stream->fold) || stream->transaction.fence.seq > 0;
    *ret = stream->left ? STREAM_PIECES : STREAM_EMPTY;
    return 0;
}

static int end(struct stream *stream, const struct pgoutput_message *message, enum stream_found *ret, struct error *err)
{
    struct transaction *transaction = &stream->transaction;

    if (!transaction->open)
        return error_set(err, ERR_STOP, "the server's change stream ends a transaction that did not begin");
    if (transaction->known) {
        transaction_end(stream);
        return 0;
    }
    if (message->commit.end_lsn <= stream->lsn)
        return error_set(err, ERR_STOP, "the server's change stream goes back in its own log");
    stream->lsn = message->commit.end_lsn;
    stream->time_us = transaction->commit_time_us;
    stream->number = 0;
    stream->reported = 0;
    stream->problem_count = 0;
    transaction->open = false;
    if ((transaction->ours ? end_ours : end_local)(stream, ret, err) < 0)
        return err->code;
    if (!stream->left && *ret != STREAM_EMPTIED)
        transaction_end(stream);
    return 0;
}

static int on_type(struct stream *stream, const struct pgoutput_message *message, struct error *err)
{
    (void)stream;
    (void)message;
    (void)err;
    return 0; /* values are read as text, whatever their type is called */
}

static int (*const handlers[PGOUTPUT_KIND_COUNT])(struct stream *, const struct pgoutput_message *, struct error *) = {
    [PGOUTPUT_BEGIN] = on_begin,   [PGOUTPUT_ORIGIN] = on_origin,   [PGOUTPUT_RELATION] = on_relation,
    [PGOUTPUT_TYPE] = on_type,     [PGOUTPUT_INSERT] = on_change,   [PGOUTPUT_UPDATE] = on_change,
    [PGOUTPUT_DELETE] = on_change, [PGOUTPUT_TRUNCATE] = on_change, [PGOUTPUT_MESSAGE] = on_message,
};

int stream_take(struct stream *stream, const void *bytes, size_t length, enum stream_found *ret, struct error *err)
{
    struct pgoutput_message message;

    assert(!stream->left);
    *ret = STREAM_NOTHING;
    arena_reset(stream->message_arena);
    if (pgoutput_read(stream->message_arena, bytes, length, &message, err) < 0)
        return err->code;
    if (message.kind == PGOUTPUT_COMMIT)
        return end(stream, &message, ret, err);
    return handlers[message.kind](stream, &message, err);
}

/* Reports are split like changes are, so that each piece fits into a message. */
static void next_reports(struct stream *stream, struct piece *piece)
{
    const struct applied *applied = &stream->transaction.applied;
    size_t size = 0;

    piece->first = stream->number;
    piece->reports = applied->reports + stream->reported;
    while (stream->reported < applied->report_count && size < stream->options.piece_bytes) {
        size += message_report_size(&applied->reports[stream->reported++]);
        piece->report_count++;
    }
}

static void next_changes(struct stream *stream, struct piece *piece)
{
    arena_reset(stream->piece_arena);
    piece->first = stream->number;
    piece->change_count = fold_next(stream->fold, stream->piece_arena, stream->options.piece_bytes, &piece->changes);
    stream->number += piece->change_count;
}

bool stream_next(struct stream *stream, struct piece *ret)
{
    struct piece piece = { .lsn = stream->lsn, .base = stream->base, .commit_time_us = stream->time_us };
    bool earlier = fold_earlier(stream->fold);

    if (!stream->left) {
        transaction_end(stream); /* what the last piece borrowed was still needed until now */
        return false;
    }
    if (earlier)
        piece.base = stream->earlier;
    if (!earlier && stream->reported < stream->transaction.applied.report_count)
        next_reports(stream, &piece); /* first: they say on which base the changes count as made */
    else
        next_changes(stream, &piece);
    piece.final = !earlier && !fold_left(stream->fold) && stream->reported == stream->transaction.applied.report_count;
    if (piece.final)
        piece.fence = stream->transaction.fence;
    stream->left = !piece.final;
    *ret = piece;
    return true;
}

bool stream_left(const struct stream *stream)
{
    return stream->left;
}

bool stream_open(const struct stream *stream)
{
    return stream->transaction.open;
}

uint64_t stream_lsn(const struct stream *stream)
{
    return stream->lsn;
}

int64_t stream_time_us(const struct stream *stream)
{
    return stream->time_us;
}

feed_position stream_base(const struct stream *stream)
{
    return stream->base;
}

uint32_t stream_problems(const struct stream *stream, struct error *ret_first)
{
    if (stream->problem_count > 0)
        *ret_first = stream->problem;
    return stream->problem_count;
}

struct stream *stream_new(const struct stream_options *options)
{
    struct stream *stream = calloc(1, sizeof *stream);

    if (!stream)
        abort();
    stream->options = *options;
    stream->fold = fold_new(options->mapping, options->bytes_max);
    stream->beyond = beyond_new(fold_views(stream->fold), options->whole, options->bytes_max, options->alterations,
                                options->absents);
    stream->message_arena = arena_new();
    stream->transaction_arena = arena_new();
    stream->piece_arena = arena_new();
    stream->lsn = options->lsn;
    stream->base = options->base;
    return stream;
}

void stream_free(struct stream **stream)
{
    struct stream *old = *stream;

    if (!old)
        return;
    beyond_free(&old->beyond);
    fold_free(&old->fold);
    arena_free(&old->message_arena);
    arena_free(&old->transaction_arena);
    arena_free(&old->piece_arena);
    free(old);
    *stream = NULL;
}
