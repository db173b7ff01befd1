/* The change stream of a hostile or broken server: messages of pgoutput, each with two bytes of length before it,
 * through the decoder and the fold of transactions. */
#include "agents/postgres/stream.h"
#include "agents/postgres/stream_fixture.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
