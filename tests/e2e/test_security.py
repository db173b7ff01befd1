"""Who gets through: enrolled keys, as themselves, and nobody else; also while the broker drains after SIGTERM."""

import signal
import time

import psycopg
import pytest
import zmq

import peer
import zmtp
from cluster import wait_for
from peer import Refused, Silence
from town import Town

BLOCKS = [peer.block("people", "resident", ["nik"], ["nik", "name"])]
HELLO = peer.pack([peer.HELLO, 0, 0, 1, "attack", 0, ["s", 1, None], None, BLOCKS, 0, None, 1 << 20, ""])


@pytest.fixture
def town():
    made = Town()
    try:
        yield made.start()
    finally:
        made.close_peers()
        made.region.end()


def knock(link):
    """Says hello; libzmq takes nothing more for a connection whose handshake was refused."""
    try:
        link.socket.send(HELLO, zmq.NOBLOCK)
    except zmq.Again:
        pass


def silent(link):
    """Says hello again and again and hears nothing."""
    for _ in range(3):
        knock(link)
    with pytest.raises(Silence):
        link.receive(1)


def unknown_key(town):
    with peer.Link(town.region.endpoint, town.broker_key, peer.new_key()) as link:
        silent(link)


def wrong_server_key(town):
    """An enrolled key, but not knowing the broker's: a broker that answered would be somebody else."""
    with peer.Link(town.region.endpoint, peer.new_key()[0], town.keys["dinsos"]) as link:
        silent(link)


def null_mechanism(town):
    with peer.Link(town.region.endpoint, None, None) as link:
        silent(link)


def forged_null(town):
    pairs = [(b"Socket-Type", b"DEALER"), (b"Identity", b""), (b"User-Id", b"dinsos"), (b"agency", b"dinsos")]
    with pytest.raises(zmtp.Closed):
        with zmtp.Client(town.region.run.port, b"NULL") as client:
            client.null(pairs)
            for _ in range(3):
                client.send_frame(HELLO)
            client.read_frame()


def forged_plain(town):
    with pytest.raises(zmtp.Closed):
        with zmtp.Client(town.region.run.port, b"PLAIN") as client:
            client.plain(b"dinsos", b"")
            client.send_frame(HELLO)
            client.read_frame()


def forged_curve(town):
    """An unknown key that claims to be dinsos, in each spelling."""
    pairs = [(b"Socket-Type", b"DEALER"), (b"Identity", b""), (b"User-Id", b"dinsos"), (b"User-Id", town.keys["dinsos"][0])]
    with pytest.raises(zmtp.Closed):
        with zmtp.Client(town.region.run.port, b"CURVE") as client:
            client.curve(town.broker_key, peer.new_key(), pairs)
            client.send_sealed(HELLO)
            client.read_sealed()


ATTACKS = [unknown_key, wrong_server_key, null_mechanism, forged_null, forged_plain, forged_curve]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_nothing_gets_through(town, attack):
    before = town.state()
    for _ in range(3):
        attack(town)
    assert town.state() == before
    with town.peer("dinsos") as dinsos:
        assert dinsos.hello(BLOCKS).agency == "dinsos"


def test_an_enrolled_key_is_itself_whatever_it_claims(town):
    """dinkes says in its handshake that it is dinsos; the key decides."""
    pairs = [(b"Socket-Type", b"DEALER"), (b"Identity", b""), (b"User-Id", b"dinsos"),
             (b"User-Id", town.keys["dinsos"][0].hex().encode())]
    before = dict((row[0], row[1]) for row in town.state()[0])
    with zmtp.Client(town.region.run.port, b"CURVE") as client:
        client.curve(town.broker_key, town.keys["dinkes"], pairs)
        client.send_sealed(HELLO)
        kind, _, _, rest = peer.read(client.read_sealed())
        assert kind == peer.WELCOME and rest[1] == "dinkes"
    after = dict((row[0], row[1]) for row in town.state()[0])
    assert after["dinsos"] == before["dinsos"] and after["dinkes"] != before["dinkes"]


def test_the_tools_of_attack_work(town):
    """The raw client with an enrolled key and no lie is let in: so what is refused above is refused for what it is."""
    with zmtp.Client(town.region.run.port, b"CURVE") as client:
        client.curve(town.broker_key, town.keys["dinsos"], [(b"Socket-Type", b"DEALER"), (b"Identity", b"")])
        client.send_sealed(HELLO)
        assert peer.read(client.read_sealed())[0] == peer.WELCOME


def test_no_client_takes_anothers_routing_id(town):
    """With a routing id of its own choice a second agency neither gets the first one's feed nor throws it out."""
    with town.peer("dinsos") as dinsos:
        dinsos.first_load(BLOCKS, [])
        with peer.Link(town.region.endpoint, town.broker_key, town.keys["dinkes"], routing_id=b"dinsos") as link:
            link.send(HELLO)
            assert peer.read(link.receive())[3][1] == "dinkes"
        assert dinsos.ping()


def test_a_revoked_key_is_out_with_its_live_connection(town):
    with town.peer("dinkes") as dinkes, town.peer("dinsos") as dinsos:
        dinkes.first_load(BLOCKS, [])
        dinsos.first_load(BLOCKS, [])
        dinkes.ping()
        town.region.selaras("key", "revoke", "dinkes")
        head = town.region.value("SELECT head FROM selaras.state")
        for lsn in (2000, 3000):
            dinkes.send(peer.CHANGES, [peer.piece(lsn, [peer.insert("people", "6402060101900001",
                        {"nik": "6402060101900001", "name": "Tidak Masuk"})], dinkes.applied)])
        try:
            while True:
                kind, _ = dinkes.receive(2)
                assert kind not in (peer.ACK, peer.FEED, peer.WELCOME, peer.PONG)
        except Refused as refused:
            assert refused.code == "revoked"
        except Silence:
            pass
        assert town.region.value("SELECT head FROM selaras.state") == head
        assert town.region.value("SELECT count(*) FROM selaras.resident WHERE nik = '6402060101900001'") == "0"
        with town.peer("dinkes") as again:
            with pytest.raises((Silence, Refused)) as met:
                again.hello(BLOCKS, seconds=2)
            assert met.type is Silence or met.value.code == "revoked"
        assert dinsos.ping()
    assert town.region.value("SELECT key IS NULL FROM selaras.agency WHERE name = 'dinkes'") == "t"


def test_the_door_stays_shut_while_the_broker_stops(town):
    """Everybody is at the door when SIGTERM comes, while a transaction cannot commit, and goes on trying until the broker is gone.
    (czmq's own authentication ends with SIGTERM, and then the second stranger is let in.)"""
    town.region.selaras("key", "revoke", "dinkes")
    broker = town.region.broker
    with town.peer("dinsos") as dinsos:
        dinsos.first_load(BLOCKS, [])
        before = town.state()
        strangers = [peer.Link(town.region.endpoint, town.broker_key, peer.new_key()) for _ in range(4)]
        strangers += [peer.Link(town.region.endpoint, town.broker_key, town.keys["dinkes"]) for _ in range(4)]
        strangers += [peer.Link(town.region.endpoint, None, None) for _ in range(4)]
        with psycopg.connect(town.region.postgres.dsn("selaras")) as lock:
            lock.execute("LOCK TABLE selaras.entry IN ACCESS EXCLUSIVE MODE")
            dinsos.send(peer.CHANGES, [peer.piece(2000, [peer.insert("people", "6402060101900002",
                        {"nik": "6402060101900002", "name": "Menunggu"})], dinsos.applied)])
            time.sleep(0.3)
            broker.send(signal.SIGSTOP)
            for link in strangers:
                knock(link)
            broker.send(signal.SIGTERM)
            broker.send(signal.SIGCONT)
            until = time.monotonic() + 3
            while time.monotonic() < until and broker.alive():
                for link in strangers:
                    knock(link)
                try:
                    forged_null(town)
                except OSError:
                    break               # nobody listens any more
                time.sleep(0.05)
            for link in strangers:
                with pytest.raises(Silence):
                    link.receive(0.05)
                link.close()
            lock.rollback()
        assert broker.wait() == 0
    after = town.state()
    assert [row[:2] for row in after[0]] == [row[:2] for row in before[0]]
    assert town.region.value("SELECT count(*) FROM selaras.entry WHERE kind = 'change' AND agency <> 'dinsos'") == "0"


def test_personal_values_are_in_no_log(town):
    nik, name = "6402060101900003", "Rahasia Sekali"
    with town.peer("dinsos") as dinsos, town.peer("dinkes") as dinkes:
        dinsos.first_load(BLOCKS, [peer.load("people", nik, {"nik": nik, "name": name})])
        dinkes.first_load(BLOCKS, [peer.load("people", nik, {"nik": nik, "name": name + " Lain"})])
        dinsos.change(2000, [peer.update("people", nik, {"name": (name, name + " Baru")})])
        dinkes.link.send(peer.pack([peer.CHANGES, dinkes.session, 1, [[2000, 0, True, 0, 0, None, [], [[1, b"", b"", nik.encode()]]]]]))
        wait_for("the malformed one is answered", lambda: answered(dinkes), 5)
    text = town.region.broker.text()
    assert text and nik not in text and name not in text


def answered(client):
    try:
        client.receive(0.2)
    except Refused:
        return True
    except Silence:
        return False
    return False
