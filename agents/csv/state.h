/* state.h: the agency's "database" where it has none: what its lists said, what they should say, and what the broker
 * still must hear. One SQLite file, one transaction for each list taken and each batch applied.
 *
 * Nothing of a transaction is seen before it is committed, and all of it survives then: so once-only, atomicity and
 * resuming hold as they do for PostgreSQL. Between state_begin() and state_commit() or state_rollback() functions work
 * in that transaction. */
#ifndef SELARAS_CSV_STATE_H
#define SELARAS_CSV_STATE_H

#include "agents/csv/compare.h"
#include "agents/csv/sql.h"

struct state {
    struct sql *sql;
    bool begun;
    char system[33];
    uint32_t incarnation;
    feed_position applied;
    uint8_t leaf[HASH_BYTES];
    uint64_t number, forgotten;
    bool corrections; /* their files must be written anew */
    struct fence fence;
    uint8_t seed[32];
    uint64_t counter; /* of salts */
};

/* Opens or makes the file in folder `path`. The state's fields are what is committed. */
must_check int state_open(const char *path, struct state **ret, struct error *err);
void state_close(struct state **state);

must_check int state_begin(struct state *state, struct error *err);
must_check int state_commit(struct state *state, struct error *err);
/* Also reads again what the fields above were. */
void state_rollback(struct state *state);

/* ---- rows (state_rows.c) ---- */

struct state_row {
    struct sides sides;
    struct text was;
    int64_t since_us;
};
/* What is known of a key; sides are NULL when nothing is. */
must_check int state_row(struct state *state, struct arena *arena, const struct mapping_block *block, struct text key,
                         struct state_row *ret, struct error *err);
/* Remembers it; a row that neither is nor should be in the list is forgotten. Notes that corrections are due when they
 * are. */
must_check int state_row_put(struct state *state, const struct mapping_block *block, struct text key,
                             const struct state_row *row, bool differed, struct error *err);
/* The next key after `after` (length 0: the first) of the rows that `which` names; false: no more. */
enum state_which { STATE_SHOULD, STATE_DIFFERS, STATE_GONE /* said, and not staged */ };
must_check int state_next(struct state *state, struct arena *arena, const char *block, enum state_which which,
                          struct text after, struct text *ret, struct error *err);
/* Whether some key of the block has the same first bytes as `key` but for its last one, and `key` itself is none. */
must_check int state_sibling(struct state *state, const char *block, struct text key, bool *ret, struct error *err);
must_check int state_reason_put(struct state *state, const char *block, struct text key, const char *field,
                                const struct reason *reason, struct error *err);
must_check int state_reason(struct state *state, struct arena *arena, const char *block, struct text key,
                            const char *field, struct reason *ret, struct error *err);
must_check int state_count(struct state *state, const char *block, enum state_which which, uint64_t *ret,
                           struct error *err);

/* A list on its way in: one row a key, in a temporary table. `ret_line` is not 0 when the key was there already. */
must_check int state_stage_begin(struct state *state, struct error *err);
must_check int state_stage(struct state *state, struct text key, uint32_t line, const struct buffer *fields,
                           uint32_t *ret_line, struct error *err);
/* The next staged row after `after`. */
must_check int state_staged(struct state *state, struct arena *arena, const struct mapping_block *block,
                            struct text after, struct text *ret_key, struct value **ret_fields, struct error *err);

struct state_list {
    const char *name;
    uint8_t digest[HASH_BYTES];
    uint64_t bytes, rows;
    bool complete, known; /* known: there is one */
    char separator;
    int64_t saved_us, taken_us;
};
must_check int state_list(struct state *state, struct arena *arena, const char *block, struct state_list *ret,
                          struct error *err);
must_check int state_list_put(struct state *state, const char *block, const struct state_list *list, struct error *err);

/* ---- progress and outbox (state_outbox.c) ---- */

/* Gives the transaction the next number, its fence, and a place in the outbox. Before its changes and reports. */
must_check int state_number(struct state *state, int64_t now_us, struct error *err);
/* Seals the change and puts it behind those of this number. */
must_check int state_change(struct state *state, struct arena *arena, uint32_t place, struct change *change,
                            struct error *err);
must_check int state_report(struct state *state, uint32_t place, const struct report *report, struct error *err);
must_check int state_applied(struct state *state, feed_position position, const uint8_t leaf[HASH_BYTES],
                             struct error *err);
/* The broker has the first load. */
must_check int state_loaded(struct state *state, uint32_t incarnation, feed_position load, struct error *err);
/* The broker has everything up to `number`. */
must_check int state_forget(struct state *state, uint64_t number, struct error *err);
must_check int state_corrections_done(struct state *state, struct error *err);

/* The next piece after change `place` of transaction `number`, of about `bytes`; false: there is none. */
must_check int state_piece(struct state *state, struct arena *arena, uint64_t number, uint32_t place, size_t bytes,
                           struct piece *ret, bool *ret_found, struct error *err);
/* ERR_DOUBT or ERR_LOST when this is not the file that the broker knows, or not all of it. */
must_check int state_prove(struct state *state, const struct source *known, uint64_t number, feed_position base,
                           struct error *err);

/* ---- parked records (state_parked.c) ---- */

struct state_parked {
    uint16_t block;
    uint64_t record;
    feed_position position;
    struct text key;
    struct text effect;
};
must_check int state_parked(struct state *state, struct arena *arena, const struct mapping *mapping, uint16_t block,
                            uint64_t record, struct state_parked *ret, bool *ret_found, struct error *err);
must_check int state_park(struct state *state, const struct mapping *mapping, const struct state_parked *parked,
                          const char *reason, int64_t now_us, struct error *err);
must_check int state_park_again(struct state *state, const char *block, uint64_t record, const char *reason,
                                struct error *err);
must_check int state_unpark(struct state *state, const char *block, uint64_t record, struct error *err);
/* Every parked record, or those with this number. */
must_check int state_parked_all(struct state *state, struct arena *arena, const struct mapping *mapping,
                                uint64_t record, struct state_parked **ret, uint32_t *ret_count, struct error *err);
/* As driver_ops.parked. */
must_check int state_parked_json(struct state *state, struct buffer *out, struct error *err);

#endif
