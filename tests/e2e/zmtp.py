"""zmtp.py: a ZMTP 3.0 client on a bare TCP socket (RFC 23/ZMTP, 26/CURVEZMQ): it can say what libzmq would never let it say.

Above all it puts any metadata into its handshake, `User-Id` among them: what an attacker would claim to be.
"""

import ctypes
import ctypes.util
import os
import socket
import struct

SODIUM = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
COMMAND, LONG, MORE = 0x04, 0x02, 0x01


class Closed(Exception):
    """The other side closed the connection, or said nothing in time."""


def box(text, nonce, public, secret):
    out = ctypes.create_string_buffer(len(text) + 16)
    assert SODIUM.crypto_box_easy(out, text, ctypes.c_ulonglong(len(text)), nonce, public, secret) == 0
    return out.raw


def unbox(sealed, nonce, public, secret):
    out = ctypes.create_string_buffer(max(1, len(sealed) - 16))
    if SODIUM.crypto_box_open_easy(out, sealed, ctypes.c_ulonglong(len(sealed)), nonce, public, secret) != 0:
        raise Closed("a box that does not open")
    return out.raw[:len(sealed) - 16]


def key_pair():
    public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
    SODIUM.crypto_box_keypair(public, secret)
    return public.raw, secret.raw


def metadata(pairs):
    """`pairs`: (name, value), in this order, names may repeat."""
    return b"".join(bytes([len(name)]) + name + struct.pack(">I", len(value)) + value for name, value in pairs)


class Client:
    """One connection. `mechanism` is b"NULL", b"PLAIN" or b"CURVE"."""

    def __init__(self, port, mechanism, seconds=2):
        self.socket = socket.create_connection(("127.0.0.1", port), seconds)
        self.socket.settimeout(seconds)
        self.nonce = 0
        self.socket.sendall(b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + mechanism.ljust(20, b"\0") + b"\0" + bytes(31))
        self.greeting = self.read(64)

    def read(self, length):
        data = b""
        while len(data) < length:
            try:
                more = self.socket.recv(length - len(data))
            except OSError as error:
                raise Closed(str(error)) from None
            if not more:
                raise Closed("the connection was closed")
            data += more
        return data

    def send_frame(self, body, flags=0):
        size = struct.pack(">BQ", flags | LONG, len(body)) if len(body) > 255 else bytes([flags, len(body)])
        try:
            self.socket.sendall(size + body)
        except OSError as error:
            raise Closed(str(error)) from None

    def read_frame(self):
        flags = self.read(1)[0]
        length = struct.unpack(">Q", self.read(8))[0] if flags & LONG else self.read(1)[0]
        return flags, self.read(length)

    def null(self, pairs):
        """READY with this metadata; the other side's READY."""
        self.send_frame(b"\x05READY" + metadata(pairs), COMMAND)
        return self.read_frame()

    def plain(self, user, password):
        self.send_frame(b"\x05HELLO" + bytes([len(user)]) + user + bytes([len(password)]) + password, COMMAND)
        return self.read_frame()

    def curve(self, server, key, pairs):
        """The whole handshake as `key`, with this metadata in INITIATE; returns the server's READY metadata."""
        self.our_public, self.our_secret = key_pair()
        self.nonce += 1
        short = struct.pack(">Q", self.nonce)
        self.send_frame(b"\x05HELLO\x01\x00" + bytes(72) + self.our_public + short
                        + box(bytes(64), b"CurveZMQHELLO---" + short, server, self.our_secret), COMMAND)
        _, welcome = self.read_frame()
        if not welcome.startswith(b"\x07WELCOME"):
            raise Closed(repr(welcome[:16]))
        opened = unbox(welcome[24:], b"WELCOME-" + welcome[8:24], server, self.our_secret)
        self.their_public, cookie = opened[:32], opened[32:]
        vouch_nonce = os.urandom(16)
        vouch = box(self.our_public + server, b"VOUCH---" + vouch_nonce, self.their_public, key[1])
        self.nonce += 1
        short = struct.pack(">Q", self.nonce)
        self.send_frame(b"\x08INITIATE" + cookie + short
                        + box(key[0] + vouch_nonce + vouch + metadata(pairs), b"CurveZMQINITIATE" + short, self.their_public,
                              self.our_secret), COMMAND)
        _, ready = self.read_frame()
        if not ready.startswith(b"\x05READY"):
            raise Closed(repr(ready[:16]))
        return unbox(ready[14:], b"CurveZMQREADY---" + ready[6:14], self.their_public, self.our_secret)

    def send_sealed(self, payload, more=False):
        self.nonce += 1
        short = struct.pack(">Q", self.nonce)
        self.send_frame(b"\x07MESSAGE" + short + box(bytes([MORE if more else 0]) + payload, b"CurveZMQMESSAGEC" + short,
                                                     self.their_public, self.our_secret))

    def read_sealed(self):
        while True:
            _, frame = self.read_frame()
            if frame.startswith(b"\x07MESSAGE"):
                opened = unbox(frame[16:], b"CurveZMQMESSAGES" + frame[8:16], self.their_public, self.our_secret)
                if not opened[0] & COMMAND:
                    return opened[1:]

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()
