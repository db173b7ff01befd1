#include "shell/pg_unit.h"

#include <assert.h>
#include <stdlib.h>
#include <strings.h>

static void *allocated(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

struct unit *units_add(struct units *units, bool lost)
{
    struct unit *unit = allocated(calloc(1, sizeof *unit));

    assert(!units->open);
    unit->number = ++units->last_number;
    unit->lost = lost;
    if (units->first)
        units->last->next = unit;
    else
        units->first = unit;
    units->last = units->open = unit;
    return unit;
}

void units_close_last(struct units *units)
{
    units->open->closed = true;
    units->open = NULL;
}

struct unit *units_pop(struct units *units)
{
    struct unit *unit = units->first;

    units->first = unit->next;
    if (units->open == unit)
        units->open = NULL;
    return unit;
}

void unit_free(struct unit *unit)
{
    for (int i = 0; i < unit->result_count; i++)
        PQclear(unit->results[i]);
    PQclear(unit->failure);
    free(unit->results);
    free(unit->steps);
    free(unit);
}

static enum turn turn_of(const char *sql)
{
    if (strncasecmp(sql, "COMMIT", 6) == 0)
        return TURN_COMMIT;
    if (strncasecmp(sql, "ROLLBACK TO", 11) == 0)
        return TURN_SAVEPOINT;
    return TURN_NONE;
}

/* Results are at most as many as steps: both arrays grow together. */
struct step *unit_step(struct unit *unit, const char *sql)
{
    if (unit->step_count == unit->step_capacity) {
        unit->step_capacity = unit->step_capacity ? 2 * unit->step_capacity : 8;
        unit->steps = allocated(realloc(unit->steps, (size_t)unit->step_capacity * sizeof *unit->steps));
        unit->results = allocated(realloc(unit->results, (size_t)unit->step_capacity * sizeof *unit->results));
    }
    unit->steps[unit->step_count] = (struct step){ .prepared = -1, .turn = turn_of(sql) };
    return &unit->steps[unit->step_count++];
}

int unit_statements(const struct unit *unit, int step)
{
    int count = 0;

    for (int i = 0; i < step; i++)
        count += !unit->steps[i].prepares;
    return count;
}

int prepared_find(struct prepared_list *list, const char *sql)
{
    for (int i = 0; i < list->count; i++)
        if (list->all[i].sql == sql)
            return i;
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 16;
        list->all = allocated(realloc(list->all, (size_t)list->capacity * sizeof *list->all));
    }
    list->all[list->count] = (struct prepared){ .sql = sql };
    return list->count++;
}

bool prepared_needs_parse(struct prepared_list *list, int index, const struct unit *unit)
{
    struct prepared *prepared = &list->all[index];

    if (prepared->ready || prepared->unit == unit->number)
        return false;
    prepared->name = ++list->last_name;
    prepared->unit = unit->number;
    return true;
}

void prepared_ready(struct prepared_list *list, const struct step *step)
{
    list->all[step->prepared].ready = true;
    list->all[step->prepared].name = step->name;
}

void prepared_forget(struct prepared_list *list)
{
    for (int i = 0; i < list->count; i++)
        list->all[i].ready = false;
}
