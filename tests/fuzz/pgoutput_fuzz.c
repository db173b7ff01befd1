/* The change stream of a hostile or broken server: messages of pgoutput, each with two bytes of length before it,
 * through the decoder and the fold of transactions. */
#include "agents/postgres/stream.h"
#include "agents/postgres/stream_fixture.h"
#include "tests/fuzz/fuzz.h"

static void add(struct bytes *stream, struct bytes message)
{
    put_number(stream, 2, message.length);
    put(stream, message.at, message.length);
}

/* A transaction of each kind of change; one of our own; the messages alone. */
void fuzz_seeds(void)
{
    static const struct person siti = { "x", "1", "Siti", "3", "" }, later = { "x", "1", "Siti A", "?", "n" },
                               moved = { "", "2", "Budi", "4", "?" };
    struct bytes all = { "", 0 }, ours = { "", 0 };

    add(&all, begin_bytes(1000, 5));
    add(&all, people_bytes('f'));
    add(&all, insert_bytes(&siti));
    add(&all, change_bytes('O', &siti, &later));
    add(&all, change_bytes('O', &later, &moved));
    add(&all, change_bytes('O', &moved, NULL));
    add(&all, message_bytes(true, "other", "hello", 5));
    add(&all, commit_bytes(1000, 1008));
    add(&ours, begin_bytes(2000, 6));
    add(&ours, origin_bytes(50, "selaras_dinsos"));
    add(&ours, people_bytes('f'));
    add(&ours, change_bytes('O', &siti, &later));
    add(&ours, truncate_bytes(PEOPLE));
    add(&ours, commit_bytes(2000, 2008));
    fuzz_seed(all.at, all.length);
    fuzz_seed(ours.at, ours.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct stream_options options = {
        .origin = "selaras_dinsos", .mapping = &fixture_mapping, .bytes_max = 1 << 20, .piece_bytes = 512, .lsn = 16
    };
    struct stream *stream = stream_new(&options);
    struct error err;

    while (size >= 2) {
        size_t length = (size_t)data[0] << 8 | data[1];
        enum stream_found found;
        struct piece piece;

        data += 2;
        size -= 2;
        length = length < size ? length : size;
        if (stream_take(stream, data, length, &found, &err) < 0)
            break;
        while (stream_next(stream, &piece))
            for (uint32_t i = 0; i < piece.change_count; i++)
                assert(change_committed(&piece.changes[i]));
        data += length;
        size -= length;
    }
    stream_free(&stream);
    return 0;
}
