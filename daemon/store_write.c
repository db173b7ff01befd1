/* One batch as one transaction: entries, canonical records, links, debts, agencies, and where the ledger stands. */
#include "daemon/store_write.h"

#include <string.h>

/* The same, with the number of rows behind the arrays. */
static void run_counted(struct statement *statement, struct arena *arena, const char *sql, uint32_t count)
{
    for (int i = 0; i < statement->arrays; i++)
        pg_array_parameter(&statement->parameters, &statement->store->arrays[i]);
    pg_int8(&statement->parameters, arena, count);
    pg_statement(statement->store->writer, sql, true, &statement->parameters);
}

static void add_bytes_or_null(struct pg_array *array, struct text bytes)
{
    if (bytes.length > 0)
        pg_array_bytes(array, bytes.bytes, bytes.length);
    else
        pg_array_null(array);
}

static struct text word(const char *name)
{
    return (struct text){ name, (uint32_t)strlen(name) };
}

static struct text name_of(const struct entry_field *field)
{
    return field->name;
}

static struct text verdict_of(const struct entry_field *field)
{
    return word(verdict_name(field->verdict));
}

static struct text rule_of(const struct entry_field *field)
{
    return field->rule;
}

/* {"a","b"}: names and words of the catalog's and ours, which hold neither quotes nor backslashes. */
static void add_list(struct pg_array *array, struct arena *arena, const struct entry *entry,
                     struct text (*pick)(const struct entry_field *field))
{
    size_t size = 2;
    char *list, *at;

    for (uint16_t i = 0; i < entry->field_count; i++)
        size += pick(&entry->fields[i]).length + 3;
    list = at = arena_alloc(arena, size);
    *at++ = '{';
    for (uint16_t i = 0; i < entry->field_count; i++) {
        struct text text = pick(&entry->fields[i]);

        if (i > 0)
            *at++ = ',';
        *at++ = '"';
        memcpy(at, text.bytes, text.length);
        at += text.length;
        *at++ = '"';
    }
    *at++ = '}';
    pg_array_bytes(array, list, (size_t)(at - list));
}

static void add_withheld(struct pg_array *array, struct arena *arena, const struct entry_row *row)
{
    const char *list = "";

    for (uint16_t i = 0; i < row->withheld_count; i++)
        list = arena_printf(arena, "%s%s%u", list, i > 0 ? "," : "", row->withheld[i]);
    if (row->withheld_count > 0)
        add_name(array, arena_printf(arena, "{%s}", list));
    else
        pg_array_null(array);
}

static const char sql_entries[] =
    "INSERT INTO selaras.entry (position, time, kind, agency, incarnation, lsn, number, base, commit_time, type, "
    "record, other,"
    " refers, operation, fields, verdicts, rules, catalog, boundary, leaf, salt, body, effect, reply, withheld)"
    " SELECT v.position, v.time, v.kind, v.agency, v.incarnation, v.lsn, v.number, v.base, v.commit_time, v.type, "
    "v.record, v.other,"
    " v.refers, v.operation, v.fields::text[], v.verdicts::text[], v.rules::text[], v.catalog, v.boundary, v.leaf, "
    "v.salt, v.body,"
    " v.effect, v.reply, v.withheld::smallint[]"
    " FROM (SELECT unnest($1::bigint[]) AS position, unnest($2::timestamptz[]) AS time, unnest($3::text[]) AS kind,"
    " unnest($4::text[]) AS agency, unnest($5::int[]) AS incarnation, unnest($6::bigint[]) AS lsn,"
    " unnest($7::int[]) AS number, unnest($8::bigint[]) AS base, unnest($9::timestamptz[]) AS commit_time,"
    " unnest($10::text[]) AS type, unnest($11::bigint[]) AS record, unnest($12::bigint[]) AS other,"
    " unnest($13::bigint[]) AS refers, unnest($14::text[]) AS operation, unnest($15::text[]) AS fields,"
    " unnest($16::text[]) AS verdicts, unnest($17::text[]) AS rules, unnest($18::int[]) AS catalog,"
    " unnest($19::boolean[]) AS boundary, unnest($20::bytea[]) AS leaf, unnest($21::bytea[]) AS salt,"
    " unnest($22::bytea[]) AS body, unnest($23::bytea[]) AS effect, unnest($24::bytea[]) AS reply,"
    " unnest($25::text[]) AS withheld) AS v";

static void write_entries(struct store *store, const struct batch *batch)
{
    struct statement statement = { .store = store };
    static const Oid types[] = {
        PG_OID_INT8,  PG_OID_TIMESTAMPTZ, PG_OID_TEXT,  PG_OID_TEXT, PG_OID_INT4, PG_OID_INT8,  PG_OID_INT4,
        PG_OID_INT8,  PG_OID_TIMESTAMPTZ, PG_OID_TEXT,  PG_OID_INT8, PG_OID_INT8, PG_OID_INT8,  PG_OID_TEXT,
        PG_OID_TEXT,  PG_OID_TEXT,        PG_OID_TEXT,  PG_OID_INT4, PG_OID_BOOL, PG_OID_BYTEA, PG_OID_BYTEA,
        PG_OID_BYTEA, PG_OID_BYTEA,       PG_OID_BYTEA, PG_OID_TEXT,
    };
    struct pg_array *to[sizeof types / sizeof types[0]];

    if (batch->writes.entry_count == 0)
        return;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        to[i] = array(&statement, types[i]);
    for (uint32_t i = 0; i < batch->writes.entry_count; i++) {
        const struct entry_row *row = &batch->writes.entries[i];
        const struct entry *entry = &row->entry;

        pg_array_int8(to[0], (int64_t)entry->position);
        pg_array_time(to[1], entry->time_us);
        add_name(to[2], entry_kind_name(entry->kind));
        add_text(to[3], entry->agency);
        if (entry->sourced) {
            pg_array_int4(to[4], (int32_t)entry->source.incarnation);
            pg_array_int8(to[5], (int64_t)entry->source.lsn);
            pg_array_int4(to[6], (int32_t)entry->source.number);
            pg_array_time(to[8], entry->commit_time_us);
        } else {
            pg_array_null(to[4]);
            pg_array_null(to[5]);
            pg_array_null(to[6]);
            pg_array_null(to[8]);
        }
        if (entry->sourced && !entry->nothing_seen)
            pg_array_int8(to[7], (int64_t)entry->base);
        else
            pg_array_null(to[7]);
        add_text(to[9], entry->type);
        pg_array_int8(to[10], (int64_t)entry->record);
        pg_array_int8(to[11], (int64_t)entry->other_record);
        pg_array_int8(to[12], (int64_t)entry->refers);
        add_name(to[13], operation_name(entry->operation));
        add_list(to[14], batch->arena, entry, name_of);
        add_list(to[15], batch->arena, entry, verdict_of);
        add_list(to[16], batch->arena, entry, rule_of);
        pg_array_int4(to[17], (int32_t)entry->catalog_version);
        pg_array_bool(to[18], row->boundary);
        add_text(to[19], row->leaf);
        if (row->committed) {
            pg_array_bytes(to[20], row->salt, sizeof row->salt);
            add_text(to[21], row->body);
        } else {
            pg_array_null(to[20]);
            pg_array_null(to[21]);
        }
        add_bytes_or_null(to[22], row->effect);
        add_bytes_or_null(to[23], row->reply);
        add_withheld(to[24], batch->arena, row);
    }
    run(&statement, sql_entries);
}

static const char sql_partition[] = "SELECT selaras.entry_partition($1)";

/* Partitions are made ahead of the entries that fall into them. */
static void make_partitions(struct store *store, const struct batch *batch)
{
    const feed_position size = UINT64_C(1) << 20;

    while (store->partition <= batch->writes.head + size / 4) {
        struct pg_parameters parameters = { 0 };
        feed_position first = store->partition ? store->partition : batch->writes.head & ~(size - 1);

        pg_int8(&parameters, batch->arena, (int64_t)first);
        pg_statement(store->writer, sql_partition, true, &parameters);
        store->partition = first + size;
    }
}

/* What of the record differs from the store's row. */
static struct field_set changed_fields(const struct canonical *record)
{
    struct field_set set = { 0 };

    for (uint16_t f = 0; f < record->type->field_count; f++)
        if (!record->stored || !value_equal(record->values[f], record->stored[f]))
            field_set_add(&set, f);
    return set;
}

/* The records of one statement: new ones, or those in which the same fields have changed. */
struct group {
    const struct update_sql *update; /* NULL: new ones */
    const struct canonical **records;
    uint32_t count;
};

static void run_group(struct store *store, const struct batch *batch, uint16_t type_index, const struct group *group)
{
    const struct catalog_type *type = &batch->catalog->types[type_index];
    struct statement statement = { .store = store };
    struct pg_array *number = array(&statement, PG_OID_INT8), *exists = array(&statement, PG_OID_BOOL),
                    *meta = array(&statement, PG_OID_BYTEA);

    for (uint32_t i = 0; i < group->count; i++) {
        pg_array_int8(number, (int64_t)group->records[i]->number);
        pg_array_bool(exists, group->records[i]->exists);
        add_text(meta, group->records[i]->meta);
    }
    for (uint16_t f = 0; f < type->field_count; f++) {
        struct pg_array *values;

        if (group->update && !field_set_has(&group->update->set, f))
            continue;
        values = array(&statement, PG_OID_TEXT);
        for (uint32_t i = 0; i < group->count; i++)
            pg_array_value(values, group->records[i]->values[f]);
    }
    if (group->update)
        run_counted(&statement, batch->arena, group->update->text, group->count);
    else
        run(&statement, store->types[type_index].insert);
}

/* Groups are few: what does not find room in them is written with all its fields. */
static void write_records(struct store *store, const struct batch *batch, uint16_t type_index)
{
    enum { GROUPS_MAX = 16 };
    const struct catalog_type *type = &batch->catalog->types[type_index];
    struct type_sql *sql = &store->types[type_index];
    struct group groups[GROUPS_MAX + 2] = { [1] = { .update = &sql->updates[0] } };
    uint32_t group_count = 2;

    for (uint32_t i = 0; i < batch->writes.record_count; i++) {
        const struct canonical *record = batch->writes.records[i];
        struct field_set set = changed_fields(record);
        const struct update_sql *update;
        struct group *group = groups;

        if (record->type != type)
            continue;
        update = record->stored ? type_sql_update(store->arena, type, sql, &set) : NULL;
        while (group < groups + group_count && group->update != update)
            group++;
        if (group == groups + GROUPS_MAX + 2)
            group = &groups[1];
        else if (group == groups + group_count)
            groups[group_count++] = (struct group){ .update = update };
        if (!group->records)
            group->records = arena_array(batch->arena, batch->writes.record_count, sizeof(struct canonical *));
        group->records[group->count++] = record;
    }
    for (uint32_t i = 0; i < group_count; i++)
        if (groups[i].count > 0)
            run_group(store, batch, type_index, &groups[i]);
}

static const char sql_link_remove[] = "DELETE FROM selaras.link l USING unnest($1::int[], $2::text[], $3::text[], "
                                      "$4::bigint[], $5::bigint[], $6::bigint[])"
                                      " AS v (agency, block, key, record, since, until)"
                                      " WHERE l.agency = v.agency::smallint AND l.block = v.block AND l.key = v.key "
                                      "AND l.since = v.since AND l.record = v.record";
static const char sql_link_add[] =
    "INSERT INTO selaras.link (agency, block, key, record, since, until)"
    " SELECT v.agency::smallint, v.block, v.key, v.record, v.since, nullif(v.until, 0)"
    " FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])"
    " AS v (agency, block, key, record, since, until)"
    " ON CONFLICT (agency, block, key, since) DO UPDATE SET record = excluded.record, until = excluded.until";

static void write_links(struct store *store, const struct batch *batch, bool remove)
{
    struct statement statement = { .store = store };
    struct pg_array *agency = array(&statement, PG_OID_INT4), *block = array(&statement, PG_OID_TEXT),
                    *key = array(&statement, PG_OID_TEXT), *record = array(&statement, PG_OID_INT8),
                    *since = array(&statement, PG_OID_INT8), *until = array(&statement, PG_OID_INT8);
    uint32_t count = 0;

    for (uint32_t i = 0; i < batch->writes.link_count; i++) {
        const struct link_change *change = &batch->writes.links[i];

        if ((change->write == LINK_REMOVE) != remove)
            continue;
        pg_array_int4(agency, change->link.agency);
        add_text(block, change->link.block);
        add_text(key, change->link.key);
        pg_array_int8(record, (int64_t)change->link.record);
        pg_array_int8(since, (int64_t)change->link.since);
        pg_array_int8(until, (int64_t)change->link.until);
        count++;
    }
    if (count > 0)
        run(&statement, remove ? sql_link_remove : sql_link_add);
}

static const char sql_observed_remove[] =
    "DELETE FROM selaras.observed o USING unnest($1::int[], $2::text[], $3::text[]) AS v (agency, block, key)"
    " WHERE o.agency = v.agency::smallint AND o.block = v.block AND o.key = v.key";
static const char sql_observed[] =
    "INSERT INTO selaras.observed (agency, block, key, body) SELECT v.agency::smallint, v.block, v.key, v.body"
    " FROM unnest($1::int[], $2::text[], $3::text[], $4::bytea[]) AS v (agency, block, key, body)"
    " ON CONFLICT (agency, block, key) DO UPDATE SET body = excluded.body";

static void write_observed(struct store *store, const struct batch *batch, bool remove)
{
    struct statement statement = { .store = store };
    struct pg_array *agency = array(&statement, PG_OID_INT4), *block = array(&statement, PG_OID_TEXT),
                    *key = array(&statement, PG_OID_TEXT), *body = remove ? NULL : array(&statement, PG_OID_BYTEA);
    uint32_t count = 0;

    for (uint32_t i = 0; i < batch->writes.observed_count; i++) {
        const struct observed_row *row = &batch->writes.observed[i];

        if ((row->body.length == 0) != remove)
            continue;
        pg_array_int4(agency, row->agency);
        add_text(block, row->block);
        add_text(key, row->key);
        if (body)
            add_text(body, row->body);
        count++;
    }
    if (count > 0)
        run(&statement, remove ? sql_observed_remove : sql_observed);
}

static const char sql_agency_create[] = "INSERT INTO selaras.agency (id, name) VALUES ($1, $2)";
static const char sql_agency[] =
    "WITH written AS (UPDATE selaras.agency SET key = $6, mode = $7, state = $8, reason = $9, session = $10, "
    "incarnation = $11,"
    " lsn = $12, load_number = $13, base = $14, load = $15, load_lsn = $16, since = $17, system = $18, timeline = $19,"
    " fence_seq = $20, fence_token = $21, applied = $22, applied_at = CASE WHEN $22 > applied THEN pg_catalog.now() "
    "ELSE applied_at END,"
    " changes = $23, fed = $24, software = $25, seen_at = pg_catalog.now(), quarantine = $26, quarantine_entry = $27,"
    " resumes = $28, restored = $29, unrecorded = $30, modes = $31"
    " WHERE id = $1 AND session = $2 AND incarnation = $3 AND lsn = $4 AND load_number = $5 RETURNING 1)"
    " SELECT selaras.expect(pg_catalog.count(*), 'selaras.agency') FROM written";
static const char sql_blocks[] = "UPDATE selaras.agency SET blocks = $2 WHERE id = $1";
static const char sql_reset_links[] = "DELETE FROM selaras.link WHERE agency = $1";
static const char sql_reset_altered[] = "DELETE FROM selaras.altered WHERE agency = $1";
static const char sql_reset_observed[] = "DELETE FROM selaras.observed WHERE agency = $1";
static const char sql_reset_debts[] =
    "UPDATE selaras.debt SET settled = 'closed', settled_at = pg_catalog.now() WHERE agency = $1 AND settled IS NULL";

/* What is parked there the agency does not have, though it has a link. */
static const char sql_had_note[] =
    "INSERT INTO selaras.had (agency, record, block, key, base, since)"
    " SELECT l.agency, l.record, l.block, l.key, $2, $3 FROM selaras.link l"
    " WHERE l.agency = $1 AND l.until IS NULL AND l.since <= $2 AND NOT EXISTS (SELECT FROM selaras.debt d"
    " WHERE d.agency = l.agency AND d.record = l.record AND d.settled IS NULL) ON CONFLICT DO NOTHING";
static const char sql_had_forget[] = "DELETE FROM selaras.had WHERE agency = $1";
static const char sql_told_forget[] = "DELETE FROM selaras.told WHERE agency = $1";
static const char sql_told[] = "INSERT INTO selaras.told (agency, block, empty) SELECT $1, b, $3"
                               " FROM unnest($2::text[]) AS b ON CONFLICT (agency, block) DO UPDATE SET empty = $3";

static void number(struct pg_parameters *parameters, struct arena *arena, uint64_t value)
{
    pg_text(parameters, arena_printf(arena, "%lld", (long long)value));
}

static void write_told(struct store *store, struct arena *arena, uint16_t agency, const char *blocks, bool empty)
{
    struct pg_parameters parameters = { 0 };

    if (!blocks)
        return;
    number(&parameters, arena, agency);
    pg_text(&parameters, blocks);
    pg_text(&parameters, empty ? "t" : "f");
    pg_statement(store->writer, sql_told, true, &parameters);
}

/* What is noted stands in the links that a reset takes away. */
static void write_had(struct store *store, struct arena *arena, const struct agency_write *write)
{
    struct pg_parameters id = { 0 }, parameters = { 0 };

    number(&id, arena, write->row.id);
    number(&parameters, arena, write->row.id);
    number(&parameters, arena, write->had_base);
    number(&parameters, arena, write->had_since);
    if (write->had == HAD_NOTED)
        pg_statement(store->writer, sql_had_note, true, &parameters);
    if (write->had == HAD_FORGOTTEN)
        pg_statement(store->writer, sql_had_forget, true, &id);
    if (write->had == HAD_FORGOTTEN || write->reset)
        pg_statement(store->writer, sql_told_forget, true, &id);
    write_told(store, arena, write->row.id, write->complete, false);
    write_told(store, arena, write->row.id, write->empty, true);
}

static void write_agency(struct store *store, struct arena *arena, const struct agency_write *write)
{
    const struct agency_row *row = &write->row;
    struct pg_parameters id = { 0 }, parameters = { 0 };

    number(&id, arena, row->id);
    if (write->create) {
        struct pg_parameters create = { 0 };

        number(&create, arena, row->id);
        pg_text(&create, row->name);
        pg_statement(store->writer, sql_agency_create, true, &create);
    }
    number(&parameters, arena, row->id);
    number(&parameters, arena, write->old_session);
    number(&parameters, arena, write->old_incarnation);
    number(&parameters, arena, write->old_lsn);
    number(&parameters, arena, write->old_load_number);
    pg_bytes(&parameters, row->enrolled ? row->key : NULL, sizeof row->key);
    pg_text(&parameters, agency_mode_name(row->mode));
    pg_text(&parameters, agency_state_name(row->state));
    pg_text(&parameters, row->state == STATE_QUARANTINED ? row->reason : NULL);
    number(&parameters, arena, row->session);
    number(&parameters, arena, row->incarnation);
    number(&parameters, arena, row->lsn);
    number(&parameters, arena, row->load_number);
    number(&parameters, arena, row->base);
    number(&parameters, arena, row->load);
    number(&parameters, arena, row->load_lsn);
    number(&parameters, arena, row->since);
    pg_text(&parameters, row->system);
    number(&parameters, arena, row->timeline);
    number(&parameters, arena, row->fence.seq);
    pg_bytes(&parameters, row->fence.seq ? row->fence.token : NULL, sizeof row->fence.token);
    number(&parameters, arena, row->applied);
    number(&parameters, arena, row->changes);
    number(&parameters, arena, row->fed);
    pg_text(&parameters, row->software);
    pg_text(&parameters, quarantine_name(row->quarantine));
    number(&parameters, arena, row->quarantine_entry);
    pg_text(&parameters, agency_state_name(row->resumes));
    pg_text(&parameters, row->restored ? "t" : "f");
    number(&parameters, arena, row->unrecorded);
    pg_text(&parameters, arena_copy(arena, row->modes.bytes, row->modes.length));
    pg_statement(store->writer, sql_agency, true, &parameters);
    if (write->blocks) {
        struct pg_parameters blocks = { 0 };

        number(&blocks, arena, row->id);
        pg_bytes(&blocks, row->blocks.bytes, row->blocks.length);
        pg_statement(store->writer, sql_blocks, true, &blocks);
    }
    write_had(store, arena, write);
    if (write->reset) {
        pg_statement(store->writer, sql_reset_links, true, &id);
        pg_statement(store->writer, sql_reset_debts, true, &id);
        pg_statement(store->writer, sql_reset_altered, true, &id);
    }
    if (write->reset || write->unobserve)
        pg_statement(store->writer, sql_reset_observed, true, &id);
}

static const char sql_applied[] = "INSERT INTO selaras.applied (agency, position, time)"
                                  " SELECT v.agency::smallint, v.position, pg_catalog.now() FROM unnest($1::int[], "
                                  "$2::bigint[]) AS v (agency, position)"
                                  " ON CONFLICT DO NOTHING";

static void write_applied(struct store *store, const struct batch *batch)
{
    struct statement statement = { .store = store };
    struct pg_array *agency = array(&statement, PG_OID_INT4), *position = array(&statement, PG_OID_INT8);

    if (batch->writes.applied_count == 0)
        return;
    for (uint32_t i = 0; i < batch->writes.applied_count; i++) {
        pg_array_int4(agency, batch->writes.applied[i].agency);
        pg_array_int8(position, (int64_t)batch->writes.applied[i].position);
    }
    run(&statement, sql_applied);
}

static const char sql_catalog[] = "INSERT INTO selaras.catalog (version, hash, text, position) VALUES ($1, $2, $3, $4)";
static const char sql_state[] = "WITH written AS (UPDATE selaras.state SET head = $2, head_time = "
                                "'epoch'::pg_catalog.timestamptz + $3::bigint * '1 microsecond'::pg_catalog.interval,"
                                " next_record = $4, catalog = $5 WHERE head = $1 RETURNING 1)"
                                " SELECT selaras.expect(pg_catalog.count(*), 'selaras.state') FROM written";

static feed_position activated_at(const struct writes *writes)
{
    for (uint32_t i = 0; i < writes->entry_count; i++)
        if (writes->entries[i].entry.kind == ENTRY_CATALOG)
            return writes->entries[i].entry.position;
    return 0;
}

static void write_state(struct store *store, const struct batch *batch)
{
    const struct writes *writes = &batch->writes;
    struct pg_parameters parameters = { 0 };

    if (writes->activated) {
        struct pg_parameters catalog = { 0 };

        number(&catalog, batch->arena, writes->activated->version);
        pg_bytes(&catalog, writes->activated->hash, HASH_BYTES);
        pg_text(&catalog, arena_copy(batch->arena, writes->activated_text.bytes, writes->activated_text.length));
        number(&catalog, batch->arena, activated_at(writes));
        pg_statement(store->writer, sql_catalog, true, &catalog);
    }
    number(&parameters, batch->arena, writes->old_head);
    number(&parameters, batch->arena, writes->head);
    number(&parameters, batch->arena, (uint64_t)writes->head_time_us);
    number(&parameters, batch->arena, writes->next_record);
    number(&parameters, batch->arena, writes->catalog_version);
    pg_statement(store->writer, sql_state, true, &parameters);
}

void store_write_batch(struct store *store, const struct batch *batch)
{
    if (batch->begins)
        pg_statement(store->writer, "BEGIN", false, NULL);
    make_partitions(store, batch);
    write_entries(store, batch);
    for (uint16_t i = 0; i < batch->catalog->type_count && batch->writes.record_count > 0; i++)
        write_records(store, batch, i);
    write_links(store, batch, true);
    write_links(store, batch, false);
    write_observed(store, batch, true);
    write_observed(store, batch, false);
    store_write_debts(store, batch);
    store_write_holds(store, batch);
    if (!batch->ends)
        return; /* the transaction stays open: what is looked up for its next part is looked up in it */
    for (uint32_t i = 0; i < batch->writes.agency_count; i++)
        write_agency(store, batch->arena, &batch->writes.agencies[i]);
    write_applied(store, batch);
    write_state(store, batch);
    pg_statement(store->writer, "COMMIT", false, NULL);
}
