/* message.h: the messages of PROTOCOL.md, packed and read.
 *
 * Reading trusts nothing: a cursor walks the frame once, every count is held against the bytes that remain, nothing is
 * allocated by a claimed size beyond them, and whatever is not exactly what the grammar says is ERR_REJECT with the
 * place in the message. What is read borrows from the frame: keep the frame as long as the message. */
#ifndef SELARAS_MESSAGE_H
#define SELARAS_MESSAGE_H

#include "proto/record.h"

enum {
    PROTOCOL_VERSION = 1,
    FRAME_BYTES_MAX = 1024 * 1024,
    BLOCKS_MAX = 256,
    BLOCK_FIELDS_MAX = 128,
    KEY_FIELDS_MAX = 8,
    BLOCK_CONSTANTS_MAX = 8,
    BLOCK_REFERENCES_MAX = 8,
    KEY_BYTES_MAX = 1024, /* of a local key: it must fit into an index */
    HASH_BYTES = 32,
    MESSAGE_HEAD_BYTES = 96, /* at most this much of a changes or feed message is neither piece nor item */
};

enum message_kind {
    MESSAGE_NONE,
    MESSAGE_HELLO,
    MESSAGE_WELCOME,
    MESSAGE_CHANGES,
    MESSAGE_ACK,
    MESSAGE_FEED,
    MESSAGE_APPLIED,
    MESSAGE_CREDIT,
    MESSAGE_REVIEW,     /* reserved */
    MESSAGE_CHECKPOINT, /* reserved */
    MESSAGE_COSIGN,     /* reserved */
    MESSAGE_PING,
    MESSAGE_PONG,
    MESSAGE_ERROR,
    MESSAGE_BYE,
    MESSAGE_KIND_COUNT,
};
const char *message_name(enum message_kind kind);

enum delete_mode { DELETE_IGNORE, DELETE_SET, DELETE_ROW };

/* One block of an agency's mapping, as the broker needs to know it. */
struct block {
    struct text name;
    struct text type;
    bool generated;                         /* the local key is made by the agency's database */
    struct text key_fields[KEY_FIELDS_MAX]; /* else it is these fields' values */
    uint8_t key_field_count;
    bool insert;
    enum delete_mode delete;
    struct text *fields; /* every mapped field */
    uint16_t field_count;
    struct item_field constants[BLOCK_CONSTANTS_MAX]; /* fields of these that have one value in all of its records */
    uint8_t constant_count;
    /* Fields of these that are references, and by keys of which block the agency's rows say what they refer to. */
    struct block_reference {
        struct text field, block;
    } references[BLOCK_REFERENCES_MAX];
    uint8_t reference_count;
};

struct source {
    struct text system; /* PostgreSQL's system identifier; "" before a load */
    uint32_t timeline;
    struct fence fence;
};

struct hello {
    uint32_t version;
    struct text software;
    uint32_t incarnation; /* 0: never loaded, a first load is wanted */
    struct source source;
    uint8_t catalog_hash[HASH_BYTES]; /* zeros: none yet */
    struct block *blocks;
    uint16_t block_count;
    feed_position applied;
    uint8_t applied_leaf[HASH_BYTES]; /* zeros when applied is 0 */
    uint64_t credit;                  /* bytes of feed the agent takes now */
    struct text agency;               /* which it takes itself for; "": it does not say */
};

struct welcome {
    uint32_t version;
    struct text agency;
    uint32_t incarnation;
    uint64_t lsn;         /* position committed; streaming starts here */
    uint32_t load_number; /* pieces of a running load that are committed */
    feed_position base;   /* base committed with it */
    struct source source; /* as last received through the stream */
    feed_position load;   /* S; 0 unless `incarnation` is new */
    uint64_t credit;      /* bytes of changes the broker takes now */
    uint32_t catalog_version;
    uint8_t catalog_hash[HASH_BYTES];
    struct text catalog; /* the file; length 0 when the hello's hash is this one's */
};

struct changes {
    struct piece *pieces;
    uint32_t piece_count;
};

struct ack {
    uint64_t lsn;
    uint32_t load_number;
    feed_position base;
};

struct feed {
    bool final;             /* ends a batch: what came since the last final is applied in one transaction */
    feed_position position; /* of the last entry of the batch; 0 unless final */
    uint8_t leaf[HASH_BYTES];
    struct item *items;
    uint32_t item_count;
};

struct message {
    enum message_kind kind;
    uint64_t session;
    uint64_t number;
    union {
        struct hello hello;
        struct welcome welcome;
        struct changes changes;
        struct ack ack;
        struct feed feed;
        struct {
            feed_position position;
        } applied;
        struct {
            uint64_t total;
        } credit;
        struct {
            int64_t time_us;
        } ping;
        struct {
            int64_t time_us, broker_time_us;
        } pong;
        struct {
            struct text code, text;
        } error;
        struct {
            struct text text;
        } bye;
    };
};

/* A growing byte string for packing; reused from message to message. */
struct buffer {
    char *bytes;
    size_t length;
    size_t capacity;
};
void buffer_add(struct buffer *buffer, const void *bytes, size_t length);
void buffer_free(struct buffer *buffer);

/* Packs `message` at the end of `out`. What is packed is ours, so it cannot fail. A caller keeps frames within
 * FRAME_BYTES_MAX by MESSAGE_HEAD_BYTES and the sizes below. A change is packed by its `content`. */
void message_pack(const struct message *message, struct buffer *out);
/* An upper bound of the bytes that this takes within a message. A piece's includes its reports and changes. */
size_t message_piece_size(const struct piece *piece);
size_t message_report_size(const struct report *report);
size_t message_change_size(const struct change *change);
size_t message_item_size(const struct item *item);

/* Reads one whole frame. Arrays go to `arena`; text stays in the frame. Each change's commitment is only read here,
 * not checked, and its content is not looked into: change_committed() and change_decode() do. Of a hello of another
 * version nothing but that version is read. */
must_check int message_read(struct arena *arena, const void *frame, size_t length, struct message *ret,
                            struct error *err);

/* The exact encoding that a change's commitment covers (PROTOCOL 5.2): sets content, in `arena`. */
void change_encode(struct arena *arena, struct change *change);
/* Reads `content` back into block, key, old_key, fields, actor and ground. */
must_check int change_decode(struct arena *arena, struct change *change, struct error *err);
/* HMAC-SHA256(salt, content). */
void commitment_make(const uint8_t salt[32], const void *content, size_t length, uint8_t ret[32]);
/* Whether the commitment is of this salt and content. */
bool change_committed(const struct change *change);
void sha256(const void *bytes, size_t length, uint8_t ret[32]);

/* The fields of an item or an entry's effect, on their own: [operation, [[name, value]...], reason]. As
 * selaras.entry keeps them in effect and reply. */
void effect_pack(enum operation operation, const struct item_field *fields, uint16_t count, const struct reason *reason,
                 struct buffer *out);
must_check int effect_read(struct arena *arena, const void *bytes, size_t length, struct item *ret, struct error *err);

/* What a hello declared, on its own: an array of block (PROTOCOL 4.1), as selaras.agency keeps it. */
void blocks_pack(const struct block *blocks, uint16_t count, struct buffer *out);
must_check int blocks_read(struct arena *arena, const void *bytes, size_t length, struct block **ret,
                           uint16_t *ret_count, struct error *err);

#endif
