/* references.h: which record a reference is to. An agency says it by a key of one of its own rows; records, entries and
 * what is sent have the record's number. For the core's own files alone.
 *
 * A reference that nothing is known of stays as the agency said it, and the change waits (a hold, rule "unknown
 * reference") until its agency adds what it refers to. An item whose reader lacks what it refers to is parked there;
 * when the reader adds that itself, the record is sent to it again, now by its key. */
#ifndef SELARAS_REFERENCES_H
#define SELARAS_REFERENCES_H

#include "daemon/work.h"

/* Gives the references among `fields` (by field of the type) the numbers of their records, as far as they are known: by
 * the agency's links as of `base`, or because the key is an identifier. */
void references_translate(const struct work *work, const struct peer *peer, feed_position base,
                          const struct catalog_type *type, struct value *fields);
/* Whether one of them stayed as it was. `needed`: one that the type's records cannot do without. */
bool references_unknown(const struct catalog_type *type, const struct value *fields, bool needed);

/* Says what must be looked up for the references among `fields`; `keys` and `identifiers` are the capacities of the
 * wanted lists. */
void references_want(struct work *work, const struct peer *peer, const struct catalog_type *type,
                     const struct value *fields, uint32_t *keys, uint32_t *identifiers);
/* Once that is known: the records that are found by identifiers with references in them. False: none are. */
bool references_want_identified(struct broker *broker, struct work *work, uint32_t *identifiers);

/* The agency now has a row of a record which others may refer to: what waits for that is looked at again once this is
 * committed. */
void references_arrive(struct work *work, const struct peer *peer, const struct canonical *record);
/* It is committed. */
void references_committed(struct broker *broker, struct share *share);

/* Whether parked items of the agency may have what they wait for. */
bool references_wake_waits(const struct peer *peer);
/* Takes such records into the batch. */
void references_take_wakes(struct broker *broker, struct work *work, struct peer *peer);
/* Sends those whose time has come. */
void references_decide_wakes(struct broker *broker, struct work *work, struct share *share);

/* Has holds released that waited for what is known now, as an operator would. */
void references_heal(struct broker *broker);
/* Who does that. */
extern const char references_healer[];

#endif
