#include "cli/history.h"

#include "cli/show.h"
#include "proto/cursor.h"
#include "shell/text.h"

#include <string.h>

enum {
    AT_POSITION,
    AT_EPOCH,
    AT_SEQUENCE,
    AT_TIME,
    AT_AGENCY,
    AT_TYPE,
    AT_RECORD,
    AT_OTHER,
    AT_KIND,
    AT_OPERATION,
    AT_WHAT,
    AT_FIELD,
    AT_VERDICT,
    AT_RULE,
    AT_CHANGE,
    AT_OLD,
    AT_NEW,
    AT_MASKED,
    AT_BY,
    AT_ACTOR,
    AT_RECORDED,
    AT_GROUND,
    AT_SAYS,
    AT_VALUES,
};

static const struct column columns[] = {
    [AT_POSITION] = { "position", N_("ENTRY"), LOOK_RIGHT | LOOK_ONCE },
    [AT_EPOCH] = { "epoch", NULL, 0 },
    [AT_SEQUENCE] = { "sequence", NULL, 0 },
    [AT_TIME] = { "time", N_("TIME"), LOOK_ONCE },
    [AT_AGENCY] = { "agency", N_("AGENCY"), LOOK_ONCE },
    [AT_TYPE] = { "type", N_("TYPE"), LOOK_ONCE | LOOK_OPTIONAL },
    [AT_RECORD] = { "record", N_("RECORD"), LOOK_RIGHT | LOOK_ONCE | LOOK_OPTIONAL },
    [AT_OTHER] = { "other", N_("OTHER"), LOOK_RIGHT | LOOK_ONCE | LOOK_OPTIONAL },
    [AT_KIND] = { "kind", NULL, 0 },
    [AT_OPERATION] = { "operation", NULL, 0 },
    [AT_WHAT] = { NULL, N_("WHAT"), LOOK_ONCE },
    [AT_FIELD] = { "field", N_("FIELD"), LOOK_OPTIONAL },
    [AT_VERDICT] = { "verdict", N_("VERDICT"), LOOK_OPTIONAL },
    [AT_RULE] = { "rule", N_("RULE"), LOOK_OPTIONAL },
    [AT_CHANGE] = { NULL, N_("CHANGE"), LOOK_OPTIONAL },
    [AT_OLD] = { "old", NULL, 0 },
    [AT_NEW] = { "new", NULL, 0 },
    [AT_MASKED] = { "masked", NULL, 0 },
    [AT_BY] = { NULL, N_("BY"), LOOK_ONCE | LOOK_OPTIONAL },
    [AT_ACTOR] = { "actor", NULL, 0 },
    [AT_RECORDED] = { "recorded", NULL, 0 }, /* whether the agency says who or why */
    [AT_GROUND] = { "ground", N_("GROUND"), LOOK_ONCE | LOOK_OPTIONAL },
    [AT_SAYS] = { "says", N_("SAYS"), LOOK_ONCE | LOOK_OPTIONAL },
    [AT_VALUES] = { "values", NULL, 0 }, /* why old and new are not there */
    { 0 },
};

static enum operation operation_named(const char *name)
{
    for (int i = OPERATION_NONE + 1; i < OPERATION_COUNT; i++)
        if (!strcmp(operation_name((enum operation)i), name))
            return (enum operation)i;
    return OPERATION_NONE;
}

enum told change_told(struct arena *arena, const char *operation, bool has_body, struct text body, struct change *ret)
{
    struct error err;

    *ret = (struct change){ .operation = operation_named(operation), .content = body };
    if (!has_body)
        return TOLD_REDACTED;
    if (ret->operation != OPERATION_NONE && change_decode(arena, ret, &err) == 0)
        return TOLD;
    memset(ret, 0, sizeof *ret);
    return TOLD_UNREADABLE;
}

bool field_masked(const struct catalog_type *type, const char *field, bool reveal)
{
    int index;

    if (reveal || !strcmp(field, "existence"))
        return false;
    index = type ? catalog_field(type, field, strlen(field)) : -1;
    return index < 0 || type->fields[index].personal;
}

struct value field_shown(struct arena *arena, const struct catalog *catalog, const struct catalog_type *type,
                         const char *field, struct value value)
{
    int index = type ? catalog_field(type, field, strlen(field)) : -1;
    struct value block, key;

    if (index < 0 || type->fields[index].type != VALUE_REFERENCE || value.state != VALUE_SET)
        return value;
    if (reference_cut(value, &block, &key))
        return value_text(arena_printf(arena, _("a row of %.*s"), (int)block.length, block.bytes));
    return value_text(arena_printf(arena, "%s %.*s", catalog->types[type->fields[index].refers].name, (int)value.length,
                                   value.bytes));
}

/* What an entry holds beside its columns, whichever kind it is. */
struct contents {
    enum told told;
    struct change change; /* kind change */
    struct text says;     /* administrative kinds: what was done */
};

/* An administrative entry's body is two texts: a word and what there is to say; a mapping's or catalog's is something
 * else. */
static struct text says(struct arena *arena, struct text body)
{
    struct cursor cursor;
    struct text text;
    struct error err;

    cursor_start(&cursor, "entry", body.bytes, body.length, arena);
    cursor_tuple(&cursor, "entry", 2);
    (void)cursor_text(&cursor, "word");
    text = cursor_text(&cursor, "text");
    cursor_leave(&cursor);
    return cursor_finish(&cursor, &err) < 0 ? (struct text){ 0 } : text;
}

void decision_told(struct arena *arena, const char *operation, bool has_body, struct text body, const char **ret_by,
                   const char **ret_ground)
{
    struct change change;
    struct text text;

    *ret_by = *ret_ground = "";
    if (change_told(arena, operation, has_body, body, &change) == TOLD) {
        if (change.actor.state == VALUE_SET)
            *ret_by = arena_copy(arena, change.actor.bytes, change.actor.length);
        if (change.ground.state == VALUE_SET)
            *ret_ground = arena_copy(arena, change.ground.bytes, change.ground.length);
        return;
    }
    text = has_body ? says(arena, body) : (struct text){ 0 };
    *ret_ground = arena_copy(arena, text.length ? text.bytes : "", text.length);
}

/* A change, one that was held and is settled, or a decision about two records that has changed one. */
static bool is_change(const struct ledger_entry *entry)
{
    return !strcmp(entry->kind, entry_kind_name(ENTRY_CHANGE)) ||
           (entry->record && strcmp(entry->operation, operation_name(OPERATION_NONE)) != 0 &&
            (!strcmp(entry->kind, entry_kind_name(ENTRY_HOLD_RELEASED)) ||
             !strcmp(entry->kind, entry_kind_name(ENTRY_HOLD_REJECTED)) ||
             !strcmp(entry->kind, entry_kind_name(ENTRY_SAME)) ||
             !strcmp(entry->kind, entry_kind_name(ENTRY_DIFFERENT)) ||
             !strcmp(entry->kind, entry_kind_name(ENTRY_GIVEN_UP))));
}

static struct contents contents_read(struct arena *arena, const struct ledger_entry *entry)
{
    struct contents contents = { .told = TOLD_NOTHING };

    if (is_change(entry))
        contents.told = change_told(arena, entry->operation, entry->has_body, entry->body, &contents.change);
    else if (entry->has_body)
        contents.says = says(arena, entry->body);
    return contents;
}

static bool named(struct text text, const char *name)
{
    return text.length == strlen(name) && !memcmp(text.bytes, name, text.length);
}

static void values_of(const struct contents *contents, const char *field, struct value *ret_old, struct value *ret_new)
{
    *ret_old = *ret_new = (struct value){ 0 };
    for (int i = 0; i < contents->change.field_count; i++)
        if (named(contents->change.fields[i].name, field)) {
            *ret_old = contents->change.fields[i].old;
            *ret_new = contents->change.fields[i].value;
        }
}

static void set_unless_empty(struct output *output, int column, const char *text)
{
    if (text && *text)
        output_text(output, column, text);
}

bool change_unrecorded(const struct change *change)
{
    return change->operation != OPERATION_NONE && change->operation != OPERATION_LOAD &&
           change->actor.state != VALUE_SET && change->ground.state != VALUE_SET;
}

static void actor_cells(struct output *output, const struct contents *contents)
{
    const struct value *actor = &contents->change.actor;
    bool unrecorded = contents->told == TOLD && change_unrecorded(&contents->change);

    if (actor->state == VALUE_SET) {
        output_value(output, AT_BY, *actor, false);
        output_value(output, AT_ACTOR, *actor, false);
    } else if (unrecorded) {
        output_text(output, AT_BY, _("(not recorded)"));
    }
    if (contents->told == TOLD)
        output_flag(output, AT_RECORDED, !unrecorded);
}

static void entry_cells(struct output *output, struct arena *arena, const struct ledger_entry *entry,
                        const struct contents *contents, bool one_record)
{
    bool operates = *entry->operation && strcmp(entry->operation, operation_name(OPERATION_NONE));
    bool change = !strcmp(entry->kind, entry_kind_name(ENTRY_CHANGE));

    output_position(output, AT_POSITION, entry->position);
    output_number(output, AT_EPOCH, FEED_EPOCH(entry->position));
    output_number(output, AT_SEQUENCE, FEED_SEQUENCE(entry->position));
    output_time(output, AT_TIME, entry->time_us);
    set_unless_empty(output, AT_AGENCY, entry->agency);
    if (!one_record || output_is_json(output))
        set_unless_empty(output, AT_TYPE, entry->type);
    if (entry->record && (!one_record || output_is_json(output)))
        output_id(output, AT_RECORD, entry->record);
    if (entry->other)
        output_id(output, AT_OTHER, entry->other);
    output_text(output, AT_KIND, entry->kind);
    if (operates)
        output_text(output, AT_OPERATION, entry->operation);
    if (operates)
        output_text(output, AT_WHAT,
                    change ? entry->operation : arena_printf(arena, "%s, %s", entry->kind, entry->operation));
    else
        output_text(output, AT_WHAT, entry->kind);
    actor_cells(output, contents);
    output_value(output, AT_GROUND,
                 contents->change.ground.state == VALUE_SET ? contents->change.ground : (struct value){ 0 }, false);
    if (contents->says.length)
        output_text(output, AT_SAYS, arena_copy(arena, contents->says.bytes, contents->says.length));
    if (contents->told == TOLD_REDACTED)
        output_text(output, AT_VALUES, "redacted");
    else if (contents->told == TOLD_UNREADABLE)
        output_text(output, AT_VALUES, "unreadable");
}

static void field_cells(struct output *output, struct arena *arena, const struct ledger_field *field,
                        const struct contents *contents, const struct catalog_type *type,
                        const struct history_options *options)
{
    bool masked = field_masked(type, field->name, options->reveal);
    struct value old, new;

    values_of(contents, field->name, &old, &new);
    old = field_shown(arena, options->catalog, type, field->name, old);
    new = field_shown(arena, options->catalog, type, field->name, new);
    output_text(output, AT_FIELD, field->name);
    output_text(output, AT_VERDICT, field->verdict);
    set_unless_empty(output, AT_RULE, field->rule);
    if (contents->told == TOLD_REDACTED)
        output_text(output, AT_CHANGE, _("(redacted)"));
    else if (contents->told == TOLD_UNREADABLE)
        output_text(output, AT_CHANGE, _("(cannot be read: another version's?)"));
    else
        output_text(output, AT_CHANGE, show_change(arena, old, new, masked));
    output_value(output, AT_OLD, old, masked);
    output_value(output, AT_NEW, new, masked);
    output_flag(output, AT_MASKED, masked);
}

void history_table(struct output *output, const char *key, bool streamed)
{
    if (streamed)
        output_stream(output, key, columns);
    else
        output_table(output, key, columns);
}

void history_entry(struct output *output, struct arena *arena, const struct ledger_entry *entry,
                   const struct history_options *options)
{
    int type = catalog_type(options->catalog, entry->type, strlen(entry->type));
    struct contents contents = contents_read(arena, entry);
    bool more = false;

    for (int i = 0; i < entry->field_count; i++) {
        const struct ledger_field *field = &entry->fields[i];

        if (options->verdict && strcmp(field->verdict, options->verdict))
            continue;
        output_row(output, more);
        entry_cells(output, arena, entry, &contents, options->one_record);
        field_cells(output, arena, field, &contents, type < 0 ? NULL : &options->catalog->types[type], options);
        more = true;
    }
    if (!more) {
        output_row(output, false);
        entry_cells(output, arena, entry, &contents, options->one_record);
    }
}
