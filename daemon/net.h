/* net.h: the broker's ØMQ side: a ROUTER with CURVE, and the ZAP handler that decides which keys may connect.
 *
 * An agency is the key that ZAP saw, read from the payload frame of each message: nothing a message or a handshake
 * claims counts, and a key that is revoked is not heard again even on a connection that lives. libzmq's CURVE lets
 * everyone in when no handler answers; option 93 (ZAP_ENFORCE_DOMAIN) with a domain makes it refuse, and is read back
 * before the socket is bound. Source: RFC 27/ZAP, RFC 26/CurveZMQ. */
#ifndef SELARAS_NET_H
#define SELARAS_NET_H

#include "daemon/broker.h"
#include "shell/key.h"
#include "shell/loop.h"

struct net;

struct net_sink {
    void *context;
    /* Whether keys can be judged now; while not, connections are told to come again. */
    bool (*open)(void *context);
    /* The agency of this key now, or 0: nobody's. Asked at each handshake and for each message. */
    uint16_t (*agency_of_key)(void *context, const uint8_t key[32]);
    /* One frame of an agency; borrowed. */
    void (*frame)(void *context, uint16_t agency, const struct route *route, const void *bytes, size_t length);
    /* A message of a connection whose key is no agency's any more, or of more than one frame. */
    void (*refused)(void *context, uint16_t agency, const struct route *route, const char *why);
};

/* Binds. ERR_STOP when the endpoint cannot be bound or the security options do not take. */
must_check int net_open(struct loop *loop, const char *endpoint, const struct key *key, const struct net_sink *sink,
                        struct net **ret, struct error *err);
void net_close(struct net **net);
/* No frame is read while paused: connections push back by themselves. */
void net_pause(struct net *net, bool pause);
/* Queues one frame; a connection that has gone is fine: its agent says hello again. False: nobody took it. */
bool net_send(struct net *net, const struct route *route, const void *bytes, size_t length);
/* The endpoint as bound (with its port). */
const char *net_endpoint(const struct net *net);

#endif
