/* reconcile.h: decides what one change does to one canonical record: carries out the verdicts of judge.h, and says
 * what must be told to whom. A function of its arguments alone, total and deterministic.
 *
 * RULES.md 4. What is sent to whom follows one principle: when traffic stops, every reader holds the canonical
 * value. The others get each canonical write. The writer itself ends with the last item that was sent to it on this
 * field if that was after its base, and with its own value otherwise; so an accepted write goes to it as well exactly
 * in the first case (an echo), and a write that was not accepted is put back exactly in the second (a correction). */
#ifndef SELARAS_RECONCILE_H
#define SELARAS_RECONCILE_H

#include "daemon/judge.h"

/* One part of what must be sent. */
struct sending {
    enum operation operation; /* none, insert (the whole record), update (the fields), delete */
    struct item_field *fields;
    uint16_t field_count;
};

/* What has become of something held: it is kept in the record, and counted and listed by whoever called. */
enum held_step { HELD_OPENED, HELD_REPLACED, HELD_ENDED };
struct held_note {
    enum held_step step;
    uint16_t unit;
    uint32_t hold; /* 0: it must be given one, in the record too */
    enum operation operation;
    uint64_t others[2];
};

struct outcome {
    struct entry_field *fields; /* a verdict for each field of the change; "existence" for an insert or delete */
    uint16_t field_count;
    struct sending effect; /* for every reader but the writer */
    struct sending reply;  /* for the writer: echo, correction or whole record */
    struct reason reason;  /* why something is put back; verdict empty when nothing is */
    bool identifier_changed;
    struct held_note *notes;
    uint16_t note_count;
};

/* Decides a change of `writer` on `record` as the entry at `position`, changes the record accordingly and says what
 * must be told. `fields` are the change's new values by field of the type, absent where the change has none; a delete
 * has none at all. `taken` is asked about new identifiers. What is returned lives in `arena` and borrows from `fields`.
 */
void reconcile(const struct reconciler *reconciler, struct arena *arena, const struct writer *writer,
               struct canonical *record, enum operation operation, const struct value *fields, feed_position position,
               identifier_taken *taken, void *context, struct outcome *ret);

/* Keeps the whole change back under this hold, whatever it is: nobody can decide it now. An update of something that
 * is not known is kept as an insert of what it says. `others` are the records that it may be. */
void reconcile_hold(struct arena *arena, const struct writer *writer, struct canonical *record,
                    enum operation operation, const struct value *fields, uint32_t hold, const uint64_t others[2],
                    feed_position position, struct outcome *ret);

/* A person has decided about what is held of the record for `who` (what it had seen then is in it): `by` NULL releases
 * it, so that it goes through the rules as the entry at `position`; else it is rejected by whom that says, on `ground`,
 * and counts as not accepted. An insertion or deletion is answered with the record whole, or its deletion. False:
 * released, it would still break what the catalog demands; nothing has changed. */
must_check bool reconcile_settle(const struct reconciler *reconciler, struct arena *arena, const struct writer *who,
                                 struct canonical *record, const struct held *settled, const char *by,
                                 const char *ground, feed_position position, identifier_taken *taken, void *context,
                                 struct outcome *ret);

/* Every field of the record as an item carries it whole. */
void sending_whole(struct arena *arena, const struct canonical *record, struct sending *ret);

#endif
