#include "agents/outgoing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* One piece and everything it points to, in one allocation. */
struct kept {
    struct kept *next, *before;
    size_t bytes; /* of a message */
    struct piece piece;
};

struct outgoing {
    struct kept *first, *last;
    size_t bytes;
    struct piece *peeked; /* array that outgoing_peek gives away */
    uint32_t peeked_capacity;
};

static void *allocated(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

struct outgoing *outgoing_new(void)
{
    return allocated(calloc(1, sizeof(struct outgoing)));
}

void outgoing_clear(struct outgoing *outgoing)
{
    while (outgoing->first) {
        struct kept *kept = outgoing->first;

        outgoing->first = kept->next;
        free(kept);
    }
    outgoing->last = NULL;
    outgoing->bytes = 0;
}

void outgoing_free(struct outgoing **outgoing)
{
    if (!*outgoing)
        return;
    outgoing_clear(*outgoing);
    free((*outgoing)->peeked);
    free(*outgoing);
    *outgoing = NULL;
}

static bool position_only(const struct piece *piece)
{
    return piece->final && piece->first == 0 && piece->change_count == 0 && piece->report_count == 0 &&
           piece->fence.seq == 0;
}

static size_t text_bytes(const struct piece *piece)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < piece->report_count; i++)
        bytes += (size_t)piece->reports[i].block.length + piece->reports[i].text.length;
    for (uint32_t i = 0; i < piece->change_count; i++)
        bytes += piece->changes[i].content.length;
    return bytes;
}

static struct text text_copy(char **end, struct text text)
{
    struct text copy = { *end, text.length };

    if (text.length > 0)
        memcpy(*end, text.bytes, text.length);
    *end += text.length;
    return copy;
}

/* A change is sent by its content: nothing else of it is copied. */
static struct kept *kept_new(const struct piece *piece)
{
    size_t reports = piece->report_count * sizeof *piece->reports;
    size_t changes = piece->change_count * sizeof *piece->changes;
    struct kept *kept = allocated(calloc(1, sizeof *kept + reports + changes + text_bytes(piece)));
    char *end = (char *)(kept + 1);

    kept->bytes = message_piece_size(piece);
    kept->piece = *piece;
    kept->piece.changes = (struct change *)(void *)end;
    end += changes;
    kept->piece.reports = (struct report *)(void *)end;
    end += reports;
    for (uint32_t i = 0; i < piece->change_count; i++) {
        struct change *copy = &kept->piece.changes[i];

        copy->operation = piece->changes[i].operation;
        memcpy(copy->salt, piece->changes[i].salt, sizeof copy->salt);
        memcpy(copy->commitment, piece->changes[i].commitment, sizeof copy->commitment);
        copy->content = text_copy(&end, piece->changes[i].content);
    }
    for (uint32_t i = 0; i < piece->report_count; i++) {
        struct report *copy = &kept->piece.reports[i];

        *copy = piece->reports[i];
        copy->block = text_copy(&end, piece->reports[i].block);
        copy->text = text_copy(&end, piece->reports[i].text);
    }
    return kept;
}

/* A later piece says all that a mere position said. While loading every piece counts by its number and none is left
 * out. */
static void drop_superseded(struct outgoing *outgoing, const struct piece *next)
{
    struct kept *last = outgoing->last;

    if (!last || !position_only(&last->piece) || last->piece.nothing_seen || next->nothing_seen)
        return;
    outgoing->bytes -= last->bytes;
    outgoing->last = last->before;
    if (last->before)
        last->before->next = NULL;
    else
        outgoing->first = NULL;
    free(last);
}

void outgoing_add(struct outgoing *outgoing, const struct piece *piece)
{
    struct kept *kept = kept_new(piece);

    drop_superseded(outgoing, piece);
    kept->before = outgoing->last;
    if (outgoing->last)
        outgoing->last->next = kept;
    else
        outgoing->first = kept;
    outgoing->last = kept;
    outgoing->bytes += kept->bytes;
}

size_t outgoing_bytes(const struct outgoing *outgoing)
{
    return outgoing->bytes;
}

bool outgoing_empty(const struct outgoing *outgoing)
{
    return !outgoing->first;
}

bool outgoing_urgent(const struct outgoing *outgoing)
{
    return outgoing->first && (outgoing->first != outgoing->last || !position_only(&outgoing->first->piece));
}

uint32_t outgoing_peek(struct outgoing *outgoing, size_t wanted, size_t most, struct piece **ret)
{
    size_t bytes = MESSAGE_HEAD_BYTES;
    uint32_t count = 0;

    for (struct kept *kept = outgoing->first; kept; kept = kept->next) {
        if (bytes + kept->bytes > most || (count > 0 && bytes + kept->bytes > wanted))
            break;
        if (count == outgoing->peeked_capacity) {
            outgoing->peeked_capacity = count ? 2 * count : 64;
            outgoing->peeked =
                allocated(realloc(outgoing->peeked, outgoing->peeked_capacity * sizeof *outgoing->peeked));
        }
        outgoing->peeked[count++] = kept->piece;
        bytes += kept->bytes;
    }
    *ret = outgoing->peeked;
    return count;
}

void outgoing_sent(struct outgoing *outgoing, uint32_t count)
{
    while (count-- > 0) {
        struct kept *kept = outgoing->first;

        assert(kept);
        outgoing->first = kept->next;
        outgoing->bytes -= kept->bytes;
        free(kept);
    }
    if (outgoing->first)
        outgoing->first->before = NULL;
    else
        outgoing->last = NULL;
}
