/* The catalog's `limit`: how many changes of a kind an agency may make within a time before they are held.
 *
 *     limit = "true to false 1 % 1 h"             a field, or a value that any, null or one word of its type stands for
 *     limit = "changes 500 1 d"                   any change of the field or group
 *     limit = "deletions 1 % 1 h, insertions 5 % 1 d"    existence
 */
#include "proto/catalog_limit.h"

#include <stdlib.h>
#include <string.h>

enum {
    LIMIT_WORDS_MAX = 8,
    WINDOW_MIN_S = 60,
    WINDOW_MAX_S = 31 * 24 * 60 * 60,
    PER_CENT = 10000, /* of a million */
};

static const char *const unit_kinds[] = { "changes", NULL };
static const char *const existence_kinds[] = { "deletions", "insertions", NULL };
static const char shape[] = "must say what, how many and in which time, like \"%s 1 %% 1 h\" or \"%s 500 1 d\"";

/* One rule, word by word. */
struct words {
    const char *word[LIMIT_WORDS_MAX + 1]; /* ends in NULL */
    int count, at;
};

static const char *next_word(struct words *words)
{
    return words->at < words->count ? words->word[words->at++] : "";
}

static int shape_error(const struct limit_place *place)
{
    const char *kind = place->existence ? "deletions" : "changes";

    return tree_error(place->tree, place->err, shape, kind, kind);
}

/* Cuts a rule at its blanks. */
static int words_cut(const struct limit_place *place, const char *rule, struct words *ret)
{
    static const char blanks[] = " \t";

    *ret = (struct words){ .count = 0 };
    for (rule += strspn(rule, blanks); *rule; rule += strspn(rule, blanks)) {
        size_t length = strcspn(rule, blanks);

        if (ret->count == LIMIT_WORDS_MAX)
            return shape_error(place);
        ret->word[ret->count++] = arena_copy(place->arena, rule, length);
        rule += length;
    }
    return 0;
}

/* A value of the field in any spelling of its type, or `any`, or `null`. */
static int side_read(const struct limit_place *place, const char *word, struct value *ret)
{
    struct error err;

    *ret = (struct value){ 0 };
    if (strcmp(word, "any") == 0)
        return 0;
    if (strcmp(word, "null") == 0) {
        *ret = value_null();
        return 0;
    }
    if (value_parse(place->arena, place->field->type, place->field->scale, word, strlen(word), ret, &err) < 0)
        return tree_error(place->tree, place->err,
                          "\"%s\" is no %s; a side of \"to\" is a value of the field, any or null", word,
                          value_type_name(place->field->type));
    return 0;
}

static int kind_read(const struct limit_place *place, struct words *words, struct catalog_limit *limit)
{
    const char *first = next_word(words);

    if (words->count > 1 && strcmp(words->word[1], "to") == 0) {
        if (!place->field)
            return tree_error(place->tree, place->err, "\"%s to\" is for a single field", first);
        words->at++;
        return side_read(place, first, &limit->from) < 0 ? place->err->code
                                                         : side_read(place, next_word(words), &limit->to);
    }
    if (place->existence && strcmp(first, "deletions") == 0)
        limit->kind = LIMIT_DELETIONS;
    else if (place->existence && strcmp(first, "insertions") == 0)
        limit->kind = LIMIT_INSERTIONS;
    else if (place->existence || strcmp(first, "changes") != 0)
        return tree_unknown(place->tree, "kind of change", first, place->existence ? existence_kinds : unit_kinds,
                            place->err);
    return 0;
}

/* "500", "1%", "1 %", "0.5 %". */
static int amount_read(const struct limit_place *place, struct words *words, struct catalog_limit *limit)
{
    const char *word = next_word(words);
    char *end;
    uint64_t whole = 0, parts = 0, worth = PER_CENT;
    bool point = false;

    if (*word < '0' || *word > '9' || strlen(word) > 12)
        return shape_error(place);
    whole = strtoull(word, &end, 10);
    if (*end == '.') {
        point = true;
        for (end++; *end >= '0' && *end <= '9' && worth > 1; end++)
            parts += (uint64_t)(*end - '0') * (worth /= 10);
    }
    if (*end == '\0' && words->at < words->count && strcmp(words->word[words->at], "%") == 0)
        end = (char *)(uintptr_t)next_word(words);
    limit->share = strcmp(end, "%") == 0;
    if ((*end && !limit->share) || (point && !limit->share))
        return shape_error(place);
    if (limit->share && (whole > 100 || whole * PER_CENT + parts > 100 * PER_CENT))
        return tree_error(place->tree, place->err, "a share is at most 100 %%");
    limit->most = limit->share ? whole * PER_CENT + parts : whole;
    return 0;
}

/* "1h", "1 h". */
static int window_read(const struct limit_place *place, struct words *words, struct catalog_limit *limit)
{
    static const struct quantity_unit units[] = {
        { "s", 1 }, { "min", 60 }, { "h", 60 * 60 }, { "d", 24 * 60 * 60 }, { NULL, 0 },
    };
    const char *word = next_word(words);
    uint64_t seconds;

    if (words->at < words->count)
        word = arena_printf(place->arena, "%s%s", word, next_word(words));
    if (!quantity_parse(word, units, &seconds) || words->at < words->count)
        return shape_error(place);
    if (seconds < WINDOW_MIN_S || seconds > WINDOW_MAX_S)
        return tree_error(place->tree, place->err, "the time of a limit is 1 min to 31 d");
    limit->window_s = (uint32_t)seconds;
    return 0;
}

/* As it is written, with one blank between words: what a hold shows, and what its count is kept under. */
static const char *text_joined(const struct limit_place *place, const struct words *words)
{
    const char *text = words->word[0];

    for (int i = 1; i < words->count; i++)
        text = arena_printf(place->arena, "%s %s", text, words->word[i]);
    return text;
}

static int rule_read(const struct limit_place *place, const char *rule, struct catalog_limit *limit)
{
    struct words words;

    if (words_cut(place, rule, &words) < 0)
        return place->err->code;
    if (words.count == 0)
        return shape_error(place);
    if (kind_read(place, &words, limit) < 0 || amount_read(place, &words, limit) < 0 ||
        window_read(place, &words, limit) < 0)
        return place->err->code;
    limit->text = text_joined(place, &words);
    return 0;
}

int limits_build(const struct limit_place *place, const struct catalog_limit **ret, uint8_t *ret_count)
{
    struct catalog_limit *limits = arena_array(place->arena, CATALOG_LIMITS_MAX, sizeof *limits);
    const char *text = "";
    uint8_t count = 0;

    if (tree_text(place->tree, &text, place->err) < 0)
        return place->err->code;
    for (;;) {
        size_t length = strcspn(text, ",");

        if (count == CATALOG_LIMITS_MAX)
            return tree_error(place->tree, place->err, "has more than %d limits", CATALOG_LIMITS_MAX);
        if (rule_read(place, arena_copy(place->arena, text, length), &limits[count]) < 0)
            return place->err->code;
        for (uint8_t i = 0; i < count; i++)
            if (strcmp(limits[i].text, limits[count].text) == 0)
                return tree_error(place->tree, place->err, "\"%s\" stands here twice", limits[count].text);
        count++;
        if (text[length] == '\0')
            break;
        text += length + 1;
    }
    *ret = limits;
    *ret_count = count;
    return 0;
}
