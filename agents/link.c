#include "agents/link.h"

#include "proto/message.h"

#include <czmq.h>
#include <string.h>

enum {
    FRAMES_PER_TURN = 64,
    HANDSHAKE_MS = 5000,
    HEARTBEAT_MS = 5000,
    HEARTBEAT_TIMEOUT_MS = 15000,
    RECONNECT_MS = 100,
    RECONNECT_MAX_MS = 2000,
    REFUSED_MS = 1000,
    LINGER_MS = 500,
    RECEIVE_FRAMES = 1000,
};

#define MONITOR_ADDRESS "inproc://selaras-link"

struct link {
    struct loop *loop;
    struct link_sink sink;
    char endpoint[256];
    zsock_t *socket;
    zsock_t *monitor;
    struct loop_source *source, *monitor_source;
    struct loop_source *again;
    bool up;
    bool refused; /* so that the connection is made anew is no news */
};

static void tell_down(struct link *link, const char *what, const char *remedy)
{
    char text[512];

    link->up = false;
    snprintf(text, sizeof text, "broker at %s: %s%s", link->endpoint, what, remedy);
    link->sink.down(link->sink.context, text);
}

/* ---- what happens to the connection ---- */

static const struct {
    int event;
    bool when_up; /* only news when there was a connection */
    bool refused;
    const char *what, *remedy;
} troubles[] = {
    { ZMQ_EVENT_DISCONNECTED, true, false, "the connection was lost", "" },
    { ZMQ_EVENT_CONNECT_RETRIED, false, false, "no connection",
      ": is the broker running, and does a firewall let us through?" },
    { ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, false, true, "it does not admit this agent's key",
      ": enrol it there (selaras key enrol AGENCY KEY)" },
    { ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, false, true, "the handshake failed",
      ": is broker/key the broker's public key?" },
    { ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL, false, true, "the handshake failed",
      ": is broker/key the broker's public key, and is this agent's key enrolled there?" },
};

static void on_again(void *context)
{
    struct link *link = context;
    void *handle = zsock_resolve(link->socket);

    loop_remove(&link->again);
    (void)zmq_disconnect(handle, link->endpoint); /* it may be gone already */
    (void)zmq_connect(handle, link->endpoint);
}

/* A handshake that was refused is final for libzmq: it does not try again by itself. The broker refuses everybody while
 * its database is away, and an operator may enrol a key at any time. */
static void try_again(struct link *link)
{
    if (!link->again)
        link->again = loop_timer(link->loop, REFUSED_MS, true, on_again, link);
}

static void take_event(struct link *link, int event)
{
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        link->up = true;
        link->sink.up(link->sink.context);
        return;
    }
    for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++) {
        if (troubles[i].event != event || (troubles[i].when_up && !link->up))
            continue;
        if (event == ZMQ_EVENT_CONNECT_RETRIED && link->refused) {
            link->refused = false;
            return;
        }
        link->refused = troubles[i].refused;
        if (troubles[i].refused)
            try_again(link);
        tell_down(link, troubles[i].what, troubles[i].remedy);
        return;
    }
}

/* A monitor's message: a frame of event (16 bits) and value (32 bits) in the machine's byte order, and one of the
 * address. */
static void on_monitor(void *context)
{
    struct link *link = context;
    void *handle = zsock_resolve(link->monitor);
    uint8_t bytes[6], address[256];
    uint16_t event;

    while (zmq_recv(handle, bytes, sizeof bytes, ZMQ_DONTWAIT) == (int)sizeof bytes) {
        memcpy(&event, bytes, sizeof event);
        (void)zmq_recv(handle, address, sizeof address, ZMQ_DONTWAIT);
        take_event(link, event);
    }
}

/* ---- frames ---- */

static bool has_more(void *handle)
{
    int more = 0;
    size_t size = sizeof more;

    return zmq_getsockopt(handle, ZMQ_RCVMORE, &more, &size) == 0 && more;
}

static void drop_rest(void *handle)
{
    zmq_msg_t rest;

    while (has_more(handle)) {
        zmq_msg_init(&rest);
        if (zmq_msg_recv(&rest, handle, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&rest);
            return;
        }
        zmq_msg_close(&rest);
    }
}

static void on_frames(void *context)
{
    struct link *link = context;
    void *handle = zsock_resolve(link->socket);

    for (int i = 0; i < FRAMES_PER_TURN; i++) {
        zmq_msg_t frame;

        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, handle, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&frame);
            return;
        }
        if (has_more(handle)) {
            drop_rest(handle);
            link->sink.malformed(link->sink.context, "more than one frame");
        } else {
            link->sink.frame(link->sink.context, zmq_msg_data(&frame), zmq_msg_size(&frame));
        }
        zmq_msg_close(&frame);
    }
}

bool link_send(struct link *link, const void *frame, size_t length)
{
    return zmq_send(zsock_resolve(link->socket), frame, length, ZMQ_DONTWAIT) >= 0;
}

/* ---- opening ---- */

/* What may wait is bounded by credit, so the number of messages need not be: a full queue would cut a session.
 * IMMEDIATE: nothing is queued for a connection that is not there. */
static const struct {
    int option, value;
} options[] = {
    { ZMQ_IMMEDIATE, 1 },
    { ZMQ_SNDHWM, 0 },
    { ZMQ_RCVHWM, RECEIVE_FRAMES },
    { ZMQ_LINGER, LINGER_MS },
    { ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS },
    { ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS },
    { ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS },
    { ZMQ_HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS },
    { ZMQ_RECONNECT_IVL, RECONNECT_MS },
    { ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS },
    { ZMQ_TCP_KEEPALIVE, 1 },
    { ZMQ_IPV6, 1 },
};

static bool configure(void *handle, const struct key *key, const uint8_t broker_key[32])
{
    int64_t frame_bytes_max = FRAME_BYTES_MAX + 64; /* CURVE adds 33 */

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (zmq_setsockopt(handle, options[i].option, &options[i].value, sizeof options[i].value) != 0)
            return false;
    return zmq_setsockopt(handle, ZMQ_MAXMSGSIZE, &frame_bytes_max, sizeof frame_bytes_max) == 0 &&
           zmq_setsockopt(handle, ZMQ_CURVE_SERVERKEY, broker_key, 32) == 0 &&
           zmq_setsockopt(handle, ZMQ_CURVE_PUBLICKEY, key->public_key, 32) == 0 &&
           zmq_setsockopt(handle, ZMQ_CURVE_SECRETKEY, key->secret_key, 32) == 0;
}

static bool watch(struct link *link)
{
    if (zmq_socket_monitor(zsock_resolve(link->socket), MONITOR_ADDRESS,
                           ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                               ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) != 0)
        return false;
    link->monitor = zsock_new(ZMQ_PAIR);
    return link->monitor && zmq_connect(zsock_resolve(link->monitor), MONITOR_ADDRESS) == 0;
}

int link_open(struct loop *loop, const char *endpoint, const struct key *key, const uint8_t broker_key[32],
              const struct link_sink *sink, struct link **ret, struct error *err)
{
    struct link *link = calloc(1, sizeof *link);

    if (!link)
        abort();
    link->loop = loop;
    link->sink = *sink;
    snprintf(link->endpoint, sizeof link->endpoint, "%s", endpoint);
    link->socket = zsock_new(ZMQ_DEALER);
    if (!link->socket || !configure(zsock_resolve(link->socket), key, broker_key) || !watch(link)) {
        error_set(err, ERR_STOP, "cannot set up the connection to the broker: %s", zmq_strerror(zmq_errno()));
        link_close(&link);
        return err->code;
    }
    if (zmq_connect(zsock_resolve(link->socket), endpoint) != 0) {
        error_set(err, ERR_STOP, "broker/endpoint: %s is no address to connect to (%s); example: tcp://10.1.2.3:7460",
                  endpoint, zmq_strerror(zmq_errno()));
        link_close(&link);
        return err->code;
    }
    link->source = loop_socket(loop, zsock_resolve(link->socket), on_frames, link);
    link->monitor_source = loop_socket(loop, zsock_resolve(link->monitor), on_monitor, link);
    *ret = link;
    return 0;
}

void link_close(struct link **link)
{
    if (!*link)
        return;
    loop_remove(&(*link)->source);
    loop_remove(&(*link)->monitor_source);
    loop_remove(&(*link)->again);
    if ((*link)->socket)
        (void)zmq_socket_monitor(zsock_resolve((*link)->socket), NULL, 0);
    zsock_destroy(&(*link)->monitor);
    zsock_destroy(&(*link)->socket);
    free(*link);
    *link = NULL;
}
