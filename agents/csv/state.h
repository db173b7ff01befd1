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
/* The key of the row that others made of this one, which the list still has under `key`: 1, or 0 when there is none. */
must_check int state_moved(struct state *state, struct arena *arena, const char *block, struct text key,
                           struct text *ret, struct error *err);
must_check int state_reason_put(struct state *state, const char *block, struct text key, const char *field,
                                const struct reason *reason, struct error *err);
must_check int state_reason(struct state *state, struct arena *arena, const char *block, struct text key,
                            const char *field, struct reason *ret, struct error *err);
must_check int state_count(struct state *state, const char *block, enum state_which which, uint64_t *ret,
                           struct error *err);

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

/* For the other files of state: fields as a column holds them, NULL for none. */
must_check int state_unpack(struct arena *arena, const struct mapping_block *block, sqlite3_stmt *row, int column,
                            struct value **ret, struct error *err);

/* ---- a list on its way in (state_staged.c): functions that look return 1 when there is one, 0 when there is none ----
 */

must_check int state_stage_begin(struct state *state, struct error *err);
/* One row of a block a key: `ret_line` is not 0 when it was there already. `rest`: see fields_rest(). */
must_check int state_stage(struct state *state, const char *block, struct text key, uint32_t line,
                           const struct buffer *fields, const struct buffer *rest, uint32_t *ret_line,
                           struct error *err);
/* What finds a record as well as its key: `name` says which identifier, `ret_line` is not 0 when a row has it already.
 */
must_check int state_stage_identifier(struct state *state, const char *name, struct text value, uint32_t line,
                                      uint32_t *ret_line, struct error *err);
must_check int state_stage_keyless(struct state *state, const char *block, uint32_t line, const struct buffer *rest,
                                   struct error *err);
/* The list says that this one is gone; a row that has it counts more. */
must_check int state_stage_gone(struct state *state, const char *block, struct text key, uint32_t line,
                                struct error *err);
/* The next staged row after `after`, and the one with this key; fields are NULL when it is said to be gone. */
must_check int state_staged(struct state *state, struct arena *arena, const struct mapping_block *block,
                            struct text after, struct text *ret_key, struct value **ret_fields, struct error *err);
must_check int state_staged_key(struct state *state, struct arena *arena, const struct mapping_block *block,
                                struct text key, struct value **ret_fields, struct error *err);
/* The key of the only staged row that is like this. */
must_check int state_staged_like(struct state *state, struct arena *arena, const char *block, const struct buffer *rest,
                                 struct text *ret, struct error *err);
/* A row without a key that is like this. */
must_check int state_keyless_like(struct state *state, const char *block, const struct buffer *rest, uint32_t *ret_line,
                                  struct error *err);
/* The next staged number of 16 digits that nobody knows and that ends in 0, while one is known, and not staged, that
 * differs in its last digit alone. */
must_check int state_rounded(struct state *state, struct arena *arena, const char *block, struct text after,
                             struct text *ret_key, uint32_t *ret_line, struct error *err);

/* ---- what others changed since the last list was saved (state_fed.c) ---- */

/* `field` "": the row came. */
must_check int state_fed_put(struct state *state, const char *block, struct text key, const char *field,
                             uint64_t record, feed_position position, int64_t now_us, struct error *err);
must_check int state_fed_move(struct state *state, const char *block, struct text from, struct text to,
                              struct error *err);
/* Whether the row came, again, after the last list was saved: 1 or 0. */
must_check int state_came(struct state *state, const char *block, struct text key, struct error *err);
/* No list that was saved before is taken any more. */
must_check int state_fed_forget(struct state *state, const char *block, int64_t saved_us, struct error *err);
/* Whether others changed what the change is about after `saved_us`: 1, and the report that says so. What a clock that
 * was set back says lies in the future is not counted. */
must_check int state_late(struct state *state, struct arena *arena, const char *block, struct text key,
                          const struct change *change, int64_t saved_us, int64_t now_us, struct report *ret,
                          struct error *err);

/* ---- progress and outbox (state_outbox.c) ---- */

/* Gives the transaction the next number, its fence, and a place in the outbox. Before its changes and reports. */
must_check int state_number(struct state *state, int64_t now_us, struct error *err);
/* Seals the change and puts it behind those of this number. */
must_check int state_change(struct state *state, struct arena *arena, uint32_t place, struct change *change,
                            struct error *err);
/* `place`: of the change that it stands before, or in a transaction without changes any order. */
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
