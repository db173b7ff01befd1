#include "daemon/net.h"

#include "shell/log.h"

#include <czmq.h>

/* ZMQ_ZAP_ENFORCE_DOMAIN: libzmq 4.3.4 has it, its header hides it behind DRAFT, and czmq's setter compiles to nothing.
 */
enum { ZAP_ENFORCE_DOMAIN = 93 };
enum { FRAMES_PER_TURN = 200, ZAP_FRAMES_MAX = 16, WARN_INTERVAL_MS = 10000 };
static const char domain[] = "selaras";

struct net {
    struct loop *loop;
    zsock_t *router, *zap;
    struct loop_source *router_source, *zap_source;
    struct net_sink sink;
    char endpoint[256];
    uint32_t refused;  /* connections since the last warning */
    int64_t warned_ms; /* when that was */
};

/* ---- ZAP ---- */

/* One request: its frames are address, empty, version, request id, domain, source address, identity, mechanism, key. */
struct zap_request {
    zmq_msg_t frames[ZAP_FRAMES_MAX];
    int count;
};
enum {
    ZAP_ROUTE,
    ZAP_EMPTY,
    ZAP_VERSION,
    ZAP_ID,
    ZAP_DOMAIN,
    ZAP_ADDRESS,
    ZAP_IDENTITY,
    ZAP_MECHANISM,
    ZAP_KEY,
    ZAP_COUNT
};

/* Receives a whole message; false: nothing there. Frames beyond the array are taken and dropped. */
static bool zap_receive(void *socket, struct zap_request *request)
{
    bool more = true;

    request->count = 0;
    while (more) {
        zmq_msg_t extra, *frame = request->count < ZAP_FRAMES_MAX ? &request->frames[request->count] : &extra;

        zmq_msg_init(frame);
        if (zmq_msg_recv(frame, socket, request->count == 0 ? ZMQ_DONTWAIT : 0) < 0) {
            zmq_msg_close(frame);
            return false;
        }
        more = zmq_msg_more(frame);
        if (frame == &extra)
            zmq_msg_close(&extra);
        else
            request->count++;
    }
    return true;
}

static bool frame_is(zmq_msg_t *frame, const char *text)
{
    return zmq_msg_size(frame) == strlen(text) && memcmp(zmq_msg_data(frame), text, strlen(text)) == 0;
}

/* The key that may connect, or NULL. */
static const uint8_t *zap_admits(struct net *net, struct zap_request *request)
{
    zmq_msg_t *frames = request->frames;

    if (request->count != ZAP_COUNT || !frame_is(&frames[ZAP_VERSION], "1.0") ||
        !frame_is(&frames[ZAP_DOMAIN], domain) || !frame_is(&frames[ZAP_MECHANISM], "CURVE") ||
        zmq_msg_size(&frames[ZAP_KEY]) != 32)
        return NULL;
    return net->sink.agency_of_key(net->sink.context, zmq_msg_data(&frames[ZAP_KEY])) ? zmq_msg_data(&frames[ZAP_KEY])
                                                                                      : NULL;
}

static void zap_send(void *socket, const void *bytes, size_t length, bool more)
{
    zmq_send(socket, bytes, length, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
}

static void zap_answer(void *socket, struct zap_request *request, const uint8_t *key, bool open)
{
    const char *status = key ? "200" : open ? "400" : "300", *text = key ? "OK" : open ? "unknown key" : "come again";

    char user[65] = "";

    if (request->count <= ZAP_ID)
        return; /* not even an address to answer to: libzmq refuses the handshake when it waits in vain */
    if (key)
        key_hex(key, user);
    zap_send(socket, zmq_msg_data(&request->frames[ZAP_ROUTE]), zmq_msg_size(&request->frames[ZAP_ROUTE]), true);
    zap_send(socket, "", 0, true);
    zap_send(socket, "1.0", 3, true);
    zap_send(socket, zmq_msg_data(&request->frames[ZAP_ID]), zmq_msg_size(&request->frames[ZAP_ID]), true);
    zap_send(socket, status, 3, true);
    zap_send(socket, text, strlen(text), true);
    zap_send(socket, user, strlen(user), true);
    zap_send(socket, "", 0, false);
}

/* Anyone can knock as often as they like: one line a while, with how many there were. */
static void warn_refused(struct net *net, zmq_msg_t *address)
{
    size_t length = zmq_msg_size(address);
    int64_t now_ms = loop_monotonic_ms();

    net->refused++;
    if (net->warned_ms != 0 && now_ms - net->warned_ms < WARN_INTERVAL_MS)
        return;
    log_write(LOG_WARN, "%u connection%s refused, last from %.*s: the key is no agency's (selaras key list)",
              net->refused, net->refused == 1 ? " was" : "s were", (int)(length < 64 ? length : 64),
              (const char *)zmq_msg_data(address));
    net->refused = 0;
    net->warned_ms = now_ms;
}

static void on_zap(void *context)
{
    struct net *net = context;
    void *socket = zsock_resolve(net->zap);
    struct zap_request request;

    while (zap_receive(socket, &request)) {
        bool open = net->sink.open(net->sink.context);
        const uint8_t *key = open ? zap_admits(net, &request) : NULL;

        if (open && !key && request.count == ZAP_COUNT)
            warn_refused(net, &request.frames[ZAP_ADDRESS]);
        zap_answer(socket, &request, key, open);
        for (int i = 0; i < request.count; i++)
            zmq_msg_close(&request.frames[i]);
    }
}

/* ---- messages ---- */

/* Which agency sent this: from the key that ZAP saw, which libzmq attaches to each frame. */
static uint16_t agency_of(struct net *net, zmq_msg_t *payload)
{
    const char *user = zmq_msg_gets(payload, "User-Id");
    struct error err;
    uint8_t key[32];

    if (!user || key_parse(user, key, &err) < 0)
        return 0;
    return net->sink.agency_of_key(net->sink.context, key);
}

static void drain(void *socket)
{
    int more = 0;
    size_t size = sizeof more;

    while (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more) {
        zmq_msg_t rest;

        zmq_msg_init(&rest);
        if (zmq_msg_recv(&rest, socket, 0) < 0)
            more = 0;
        zmq_msg_close(&rest);
    }
}

static void take_payload(struct net *net, void *socket, const struct route *route, zmq_msg_t *payload)
{
    uint16_t agency = agency_of(net, payload);

    if (zmq_msg_more(payload)) {
        drain(socket);
        net->sink.refused(net->sink.context, agency, route, "a message has more than one frame");
    } else if (agency == 0) {
        net->sink.refused(net->sink.context, 0, route, "revoked");
    } else {
        net->sink.frame(net->sink.context, agency, route, zmq_msg_data(payload), zmq_msg_size(payload));
    }
}

static bool receive(struct net *net, void *socket)
{
    zmq_msg_t id, payload;
    struct route route = { 0 };
    bool sane;

    zmq_msg_init(&id);
    if (zmq_msg_recv(&id, socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&id);
        return false;
    }
    sane = zmq_msg_more(&id) && zmq_msg_size(&id) <= sizeof route.bytes;
    if (sane) {
        route.length = (uint8_t)zmq_msg_size(&id);
        memcpy(route.bytes, zmq_msg_data(&id), route.length);
        zmq_msg_init(&payload);
        if (zmq_msg_recv(&payload, socket, 0) >= 0)
            take_payload(net, socket, &route, &payload);
        zmq_msg_close(&payload);
    } else {
        drain(socket); /* a routing id that a client chose itself */
    }
    zmq_msg_close(&id);
    return true;
}

static void on_router(void *context)
{
    struct net *net = context;
    void *socket = zsock_resolve(net->router);

    for (int i = 0; i < FRAMES_PER_TURN && net->router_source && receive(net, socket); i++)
        ;
}

/* ---- life ---- */

static int set(void *socket, int option, int value, struct error *err)
{
    int back = -1;
    size_t size = sizeof back;

    if (zmq_setsockopt(socket, option, &value, sizeof value) < 0)
        return error_set(err, ERR_STOP, "socket option %d: %s", option, zmq_strerror(errno));
    if (option == ZAP_ENFORCE_DOMAIN && (zmq_getsockopt(socket, option, &back, &size) < 0 || back != value))
        return error_set(err, ERR_STOP,
                         "this libzmq does not enforce the ZAP domain: unknown keys would be let in; 4.3.4 does");
    return 0;
}

static int secure(void *socket, const struct key *key, struct error *err)
{
    static const struct {
        int option, value;
    } options[] = {
        { ZMQ_CURVE_SERVER, 1 },
        { ZMQ_MAXMSGSIZE, 0 }, /* 64 bits wide: set below */
        { ZMQ_RCVHWM, 256 },
        { ZMQ_SNDHWM, 1024 },
        { ZMQ_HANDSHAKE_IVL, 5000 },
        { ZMQ_HEARTBEAT_IVL, 5000 },
        { ZMQ_HEARTBEAT_TIMEOUT, 15000 },
        { ZMQ_HEARTBEAT_TTL, 20000 },
        { ZMQ_BACKLOG, 256 },
        { ZMQ_TCP_KEEPALIVE, 1 },
        { ZMQ_ROUTER_MANDATORY, 1 },
        { ZMQ_ROUTER_HANDOVER, 0 },
        { ZMQ_LINGER, 1000 },
        { ZAP_ENFORCE_DOMAIN, 1 },
    };
    int64_t most = FRAME_BYTES_MAX + 64; /* CURVE adds 33 bytes */

    if (zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) < 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, key->secret_key, 32) < 0 ||
        zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most) < 0)
        return error_set(err, ERR_STOP, "securing the socket: %s", zmq_strerror(errno));
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (options[i].option != ZMQ_MAXMSGSIZE && set(socket, options[i].option, options[i].value, err) < 0)
            return err->code;
    return 0;
}

int net_open(struct loop *loop, const char *endpoint, const struct key *key, const struct net_sink *sink,
             struct net **ret, struct error *err)
{
    struct net *net = calloc(1, sizeof *net);
    size_t size = sizeof net->endpoint;

    if (!net)
        abort();
    net->loop = loop;
    net->sink = *sink;
    /* The handler is there before the first peer can be. */
    net->zap = zsock_new(ZMQ_ROUTER);
    net->router = zsock_new(ZMQ_ROUTER);
    if (!net->zap || !net->router || zmq_bind(zsock_resolve(net->zap), "inproc://zeromq.zap.01") < 0) {
        net_close(&net);
        return error_set(err, ERR_STOP, "ZAP handler: %s", zmq_strerror(errno));
    }
    net->zap_source = loop_socket(loop, zsock_resolve(net->zap), on_zap, net);
    if (secure(zsock_resolve(net->router), key, err) < 0) {
        net_close(&net);
        return err->code;
    }
    if (zmq_bind(zsock_resolve(net->router), endpoint) < 0) {
        error_set(err, ERR_STOP, "broker/endpoint %s cannot be bound: %s", endpoint, zmq_strerror(errno));
        net_close(&net);
        return err->code;
    }
    zmq_getsockopt(zsock_resolve(net->router), ZMQ_LAST_ENDPOINT, net->endpoint, &size);
    net_pause(net, false);
    *ret = net;
    return 0;
}

void net_close(struct net **net)
{
    struct net *old = *net;

    if (!old)
        return;
    loop_remove(&old->router_source);
    zsock_destroy(&old->router); /* before the handler: no handshake is ever answered by nobody */
    loop_remove(&old->zap_source);
    zsock_destroy(&old->zap);
    free(old);
    *net = NULL;
}

void net_pause(struct net *net, bool pause)
{
    if (pause)
        loop_remove(&net->router_source);
    else if (!net->router_source)
        net->router_source = loop_socket(net->loop, zsock_resolve(net->router), on_router, net);
}

bool net_send(struct net *net, const struct route *route, const void *bytes, size_t length)
{
    void *socket = zsock_resolve(net->router);

    if (zmq_send(socket, route->bytes, route->length, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return false;
    return zmq_send(socket, bytes, length, ZMQ_DONTWAIT) >= 0;
}

const char *net_endpoint(const struct net *net)
{
    return net->endpoint;
}
