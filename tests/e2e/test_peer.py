"""The protocol by an independent peer (peer.py, written from PROTOCOL.md alone) against the real broker."""

import os
import time

import pytest

import peer
from cluster import wait_for
from peer import Refused, Silence
from town import Town

@pytest.fixture(scope="module")
def running():
    made = Town()
    try:
        yield made.start()
    finally:
        made.close_peers()
        made.region.end()


@pytest.fixture
def town(running):
    """The broker that all these tests share, its agencies loaded once."""
    yield running
    running.close_peers()
    assert running.region.broker.alive()
    assert running.region.audit_problems() == []


@pytest.fixture
def new_town():
    """A broker whose agencies have never been loaded."""
    made = Town()
    try:
        yield made.start()
        assert made.region.audit_problems() == []
    finally:
        made.close_peers()
        made.region.end()


def test_hello_is_answered_with_welcome(new_town):
    dinsos = new_town.peer("dinsos")
    welcome = dinsos.hello(new_town.blocks("dinsos"))
    assert welcome.agency == "dinsos" and welcome.credit > 0 and "resident" in welcome.catalog
    assert welcome.incarnation > 0 and welcome.load > 0
    again = dinsos.hello(incarnation=0)
    assert again.session > welcome.session and again.catalog is None and again.incarnation > welcome.incarnation


def test_a_load_that_breaks_starts_over(new_town):
    dinsos, nik = new_town.peer("dinsos"), new_town.nik()
    dinsos.hello(new_town.blocks("dinsos"), incarnation=0)
    change = peer.load("people", nik, new_town.full("dinsos", {"nik": nik, "name": "Muat"}))
    dinsos.send_pieces([peer.piece(0, [change], None, first=1)])
    dinsos.receive_until(lambda: dinsos.load_number >= 1)
    dinsos.first_load(new_town.blocks("dinsos"), [change], new_town.next_lsn())
    assert new_town.resident(nik) == ("Muat",)
    assert new_town.region.query("SELECT state, load_number FROM selaras.agency WHERE name = 'dinsos'")[0][0] == "active"


def test_a_change_reaches_the_other_agency(town):
    dinsos, dinkes = town.loaded("dinsos"), town.loaded("dinkes")
    nik = town.nik()
    dinsos.change(town.next_lsn(), [peer.insert("people", nik, town.full("dinsos", {"nik": nik, "name": "Baru", "eligible": "true"}))])
    batch = dinkes.receive_feed()
    (position, block, record, operation, key, fields, _), = batch.items
    assert (block, operation) == ("people", peer.INSERT) and record > 0 and position <= batch.position
    assert {name: value for name, value in fields if value is not None} == {"nik": nik, "name": "Baru", "eligible": "true"}
    assert town.resident(nik, "name, eligible") == ("Baru", "t")
    dinsos.change(town.next_lsn(), [peer.update("people", nik, {"household_size": (None, "3")})])
    (_, _, same, operation, key, fields, _), = dinkes.receive_feed().items
    assert (same, operation, key, fields) == (record, peer.UPDATE, nik, [["household_size", "3"]])
    assert wait_for("applied is remembered", lambda: town.region.value(
        "SELECT applied FROM selaras.agency WHERE name = 'dinkes'") == str(dinkes.applied))
    dinsos.change(town.next_lsn(), [peer.delete("people", nik, {"nik": nik, "name": "Baru"})])
    (_, _, same, operation, key, _, _), = dinkes.receive_feed().items
    assert (same, operation, key) == (record, peer.DELETE, nik)
    assert town.resident(nik) is None
    assert dinsos.drain_feed() == []    # nothing comes back to who wrote it


def test_a_first_load_fills_and_is_answered_where_it_differs(new_town):
    town = new_town
    nik, other = town.nik(), town.nik()
    dinsos = town.loaded("dinsos", [{"nik": nik, "name": "Milik Dinsos", "household_size": "3"}])
    dinkes = town.peer("dinkes")
    dinkes.first_load(town.blocks("dinkes"), [
        peer.load("people", nik, town.full("dinkes", {"nik": nik, "name": "Lain", "household_size": "5"})),
        peer.load("people", other, town.full("dinkes", {"nik": other, "name": "Hanya Dinkes", "premium": "42000.00"}))],
        town.next_lsn())
    to_dinkes = {item[4]: dict(item[5]) for item in dinkes.drain_feed()}
    to_dinsos = {dict(item[5]).get("nik") or item[4]: (item[3], dict(item[5])) for item in dinsos.drain_feed()}
    assert to_dinkes[nik]["name"] == "Milik Dinsos"
    assert other not in to_dinkes
    assert to_dinsos[nik][1]["household_size"] == "5"
    assert to_dinsos[other][0] == peer.INSERT and to_dinsos[other][1]["name"] == "Hanya Dinkes"
    assert town.resident(nik, "name, household_size::text") == ("Milik Dinsos", "5")


def test_what_is_sent_twice_takes_effect_once(town):
    dinsos = town.loaded("dinsos")
    nik, lsn = town.nik(), town.next_lsn()
    change = peer.insert("people", nik, town.full("dinsos", {"nik": nik, "name": "Sekali"}))
    dinsos.change(lsn, [change])
    before = town.entries("dinsos")
    dinsos.send_pieces([peer.piece(lsn, [change], dinsos.applied)])
    dinsos.receive_until(lambda: len(dinsos.acks) >= 2)
    assert dinsos.acks[-1][0] == lsn
    dinsos.hello()
    assert dinsos.lsn == lsn
    dinsos.change(lsn, [change])
    dinsos.change(town.next_lsn(), [peer.update("people", nik, {"phone": (None, "0811")})])
    assert town.entries("dinsos") == before + 1


def test_a_transaction_in_parts_is_committed_whole_or_not_at_all(town):
    dinsos = town.loaded("dinsos")
    niks, lsn = [town.nik() for _ in range(6)], town.next_lsn()
    changes = [peer.insert("people", nik, town.full("dinsos", {"nik": nik, "name": "Bagian"})) for nik in niks]
    dinsos.send_pieces([peer.piece(lsn, changes[:3], dinsos.applied, final=False)])
    time.sleep(0.5)
    assert town.resident(niks[0]) is None and dinsos.lsn < lsn
    dinsos.hello()                      # the session ends in the middle: what was staged is gone
    dinsos.send_pieces([peer.piece(lsn, changes[:4], dinsos.applied, final=False)])
    dinsos.send_pieces([peer.piece(lsn, changes[4:], dinsos.applied, first=4)])
    dinsos.wait_ack(lsn)
    assert town.region.value("SELECT count(*) FROM selaras.resident WHERE name = 'Bagian'") == "6"
    assert town.region.value(f"SELECT string_agg(number::text, ',' ORDER BY number) FROM selaras.entry WHERE lsn = {lsn}") == "0,1,2,3,4,5"


def test_a_skipped_update_is_answered_with_the_whole_record(town):
    nik = town.nik()
    dinsos = town.loaded("dinsos", [{"nik": nik, "name": "Utuh", "phone": "0811"}])
    dinkes = town.loaded("dinkes")
    dinkes.rows.clear()
    dinsos.change(town.next_lsn(), [peer.update("people", nik, {"phone": ("0811", "0822")})])
    reports = dinkes.apply(dinkes.receive_batch())
    assert [report[0] for report in reports] == [peer.SKIPPED]
    dinkes.change(town.next_lsn(), [], reports=reports)
    item, = dinkes.receive_feed().items
    assert item[3] == peer.INSERT
    assert dict(item[5]) == town.full("dinkes", {"nik": nik, "name": "Utuh", "phone": "0822"})


def test_an_answer_that_comes_is_one_to_an_earlier_item_too(town):
    nik = town.nik()
    dinsos = town.loaded("dinsos", [{"nik": nik, "name": "Dahulu", "phone": "0811"}])
    dinkes = town.loaded("dinkes")
    dinsos.change(town.next_lsn(), [peer.update("people", nik, {"phone": ("0811", "0822")})])
    first, = dinkes.receive_feed().items
    dinsos.change(town.next_lsn(), [peer.update("people", nik, {"phone": ("0822", "0833")})])
    second, = dinkes.receive_feed().items
    for item in (second, first, first):
        dinkes.change(town.next_lsn(), [], reports=[[peer.LATE, item[2], item[0], "people", ""]])
    assert town.region.query(f"SELECT position FROM selaras.debt WHERE record = {first[2]}") == [(str(first[0]),)]


def test_a_parked_record_is_a_debt_until_it_is_released(town):
    nik = town.nik()
    dinsos = town.loaded("dinsos", [{"nik": nik, "name": "Parkir"}])
    dinkes = town.loaded("dinkes")
    dinsos.change(town.next_lsn(), [peer.update("people", nik, {"phone": (None, "0833")})])
    item, = dinkes.receive_feed().items
    dinkes.change(town.next_lsn(), [], reports=[[peer.PARKED, item[2], item[0], "people", "numeric field overflow"]])
    assert town.region.query("SELECT kind, settled FROM selaras.debt WHERE record = %d" % item[2]) == [("parked", None)]
    dinkes.change(town.next_lsn(), [], reports=[[peer.RELEASED, item[2], item[0], "people", ""]])
    assert town.region.query("SELECT kind, settled FROM selaras.debt WHERE record = %d" % item[2]) == [("parked", "released")]


def test_what_a_trigger_altered_is_known_until_the_field_is_sent_again(town):
    nik = town.nik()
    dinsos = town.loaded("dinsos", [{"nik": nik, "name": "Lain", "phone": "0811"}])
    dinkes = town.loaded("dinkes")

    def altered(record):
        return town.region.query(f"SELECT type, field, position FROM selaras.altered WHERE record = {record} ORDER BY field")
    dinsos.change(town.next_lsn(), [peer.update("people", nik, {"name": ("Lain", "Lagi")})])
    item, = dinkes.receive_feed().items
    dinkes.change(town.next_lsn(), [], reports=[[peer.ALTERED, item[2], item[0], "people", "name phone colour"]])
    assert altered(item[2]) == [("resident", "name", str(item[0])), ("resident", "phone", str(item[0]))]
    dinsos.change(town.next_lsn(), [peer.update("people", nik, {"phone": ("0811", "0822")})])
    assert altered(item[2]) == [("resident", "name", str(item[0]))]
    # Twice in one transaction: the last word counts.
    dinkes.change(town.next_lsn(), [peer.update("people", nik, {"name": ("LAGI", "Lagi")})],
                  reports=[[peer.ALTERED, item[2], item[0], "people", "name"]])
    assert altered(item[2]) == []


def test_ping_is_answered_with_the_brokers_time(town):
    dinsos = town.loaded("dinsos")
    said, told = dinsos.ping()
    assert abs(told - said) < 5_000_000


def test_a_slow_reader_is_fed_within_its_credit(town):
    """peer.py counts every byte of feed; here it gives as little as one frame may take, and three times as much is to come."""
    dinsos, dinkes = town.loaded("dinsos"), town.loaded("dinkes", credit=peer.FRAME_BYTES_MAX)
    niks = [town.nik() for _ in range(60)]
    for start in range(0, 60, 4):
        dinsos.change(town.next_lsn(), [peer.insert("people", nik, town.full("dinsos", {"nik": nik, "name": "Pelan " + "x" * 50_000}))
                                        for nik in niks[start:start + 4]])
    got = {dict(item[5])["nik"] for item in dinkes.drain_feed(1)}
    assert got == set(niks)


# What no agent should say

def refusal(made, *message, number=None, session=None):
    """Sends it and gives the code of the error that comes."""
    made.send(*message, number=number, session=session)
    with pytest.raises(Refused) as refused:
        while True:
            made.receive(5)
    assert refused.value.text
    return refused.value.code


def test_an_old_session_is_no_session(town):
    dinsos = town.loaded("dinsos")
    assert refusal(dinsos, peer.PING, 0, session=dinsos.session - 1) == "no-session"


def test_the_last_connection_to_say_hello_has_the_session(town):
    first, second = town.loaded("dinsos"), town.peer("dinsos")
    second.resume(first)
    second.hello()
    assert refusal(first, peer.PING, 0) == "no-session"
    assert second.ping()


def test_a_number_that_skips_is_a_gap(town):
    dinsos = town.loaded("dinsos")
    assert refusal(dinsos, peer.PING, 0, number=dinsos.sent + 2) == "gap"


def test_a_number_that_was_seen_repeats_the_last_ack(town):
    dinsos = town.loaded("dinsos")
    dinsos.change(town.next_lsn(), [])
    count = len(dinsos.acks)
    dinsos.send(peer.PING, 0, number=dinsos.sent)
    dinsos.receive_until(lambda: len(dinsos.acks) > count)
    assert dinsos.acks[-1] == dinsos.acks[-2]
    assert dinsos.pongs == []


def test_more_than_the_credit_is_refused(town):
    dinsos = town.loaded("dinsos")
    changes = [peer.insert("people", town.nik(), {"nik": "1", "name": "x" * 200_000})]
    length = len(peer.pack([peer.piece(1, changes * 4)]))
    with pytest.raises(Refused) as refused:
        for _ in range(1 + 2 * dinsos.may_send // length):
            dinsos.send(peer.CHANGES, [peer.piece(town.next_lsn(), changes * 4, dinsos.applied, final=False)])
        while True:
            dinsos.receive(5)
    assert refused.value.code in ("credit", "malformed")


def test_a_base_above_what_was_sent_is_refused(town):
    dinsos = town.loaded("dinsos")
    assert refusal(dinsos, peer.CHANGES, [peer.piece(town.next_lsn(), [], dinsos.applied + 1_000_000)]) == "base"


def test_a_base_that_falls_is_refused(town):
    dinsos, dinkes = town.loaded("dinsos"), town.loaded("dinkes")
    nik = town.nik()
    dinkes.change(town.next_lsn(), [peer.insert("people", nik, town.full("dinkes", {"nik": nik, "name": "Dasar"}))])
    before = dinsos.applied
    dinsos.receive_feed()
    assert dinsos.applied > before
    dinsos.change(town.next_lsn(), [])
    assert refusal(dinsos, peer.CHANGES, [peer.piece(town.next_lsn(), [], before)]) == "base"


def test_a_wrong_commitment_is_refused(town):
    dinsos = town.loaded("dinsos")
    nik = town.nik()
    change = peer.insert("people", nik, town.full("dinsos", {"nik": nik, "name": "Palsu"}), commitment=os.urandom(32))
    assert refusal(dinsos, peer.CHANGES, [peer.piece(town.next_lsn(), [change], dinsos.applied)]) == "malformed"
    assert town.resident(nik) is None


@pytest.mark.parametrize("blocks, names", [
    ([peer.block("people", "penduduk", ["nik"], ["nik"])], "penduduk"),
    ([peer.block("people", "resident", ["nik"], ["nik", "nama"])], "nama"),
], ids=["type", "field"])
def test_a_mapping_that_the_catalog_does_not_know_is_named(town, blocks, names):
    dinsos = town.loaded("dinsos")
    kept = dinsos.blocks
    with pytest.raises(Refused) as refused:
        dinsos.hello(blocks)
    dinsos.blocks = kept
    assert refused.value.code == "mapping" and names in refused.value.text


def test_another_version_is_refused(town):
    dinsos = town.loaded("dinsos")
    with pytest.raises(Refused) as refused:
        dinsos.hello(version=99)
    assert refused.value.code == "version"


@pytest.mark.parametrize("wrong", [
    {"incarnation": 77}, {"applied": (9 << 48) + 5, "applied_leaf": bytes(32)}, {"applied_leaf": bytes(31) + b"\1"}],
    ids=["incarnation", "applied", "leaf"])
def test_another_history_is_refused_and_stays_so(new_town, wrong):
    town = new_town
    dinsos, dinkes = town.loaded("dinsos"), town.loaded("dinkes")
    nik = town.nik()
    dinkes.change(town.next_lsn(), [peer.insert("people", nik, town.full("dinkes", {"nik": nik, "name": "Sejarah"}))])
    dinsos.receive_feed()
    with pytest.raises(Refused) as refused:
        dinsos.hello(**wrong)
    assert refused.value.code == "history"
    assert town.region.query("SELECT state, reason IS NOT NULL FROM selaras.agency WHERE name = 'dinsos'") == [("quarantined", "t")]
    with pytest.raises(Refused) as refused:
        dinsos.hello()
    assert refused.value.code == "history"
    assert dinkes.ping()


def test_an_agency_that_lost_changes_says_so_and_is_loaded_anew(new_town):
    town = new_town
    nik = town.nik()
    row = {"nik": nik, "name": "Celah", "phone": "0811"}
    dinsos = town.loaded("dinsos", [row])
    before = dinsos.incarnation
    dinsos.send(peer.ERROR, "lost", "its log is gone")
    wait_for("it is quarantined", lambda: town.region.query(
        "SELECT state, reason FROM selaras.agency WHERE name = 'dinsos'") == [("quarantined", "its log is gone")])
    with pytest.raises(Refused) as refused:
        dinsos.hello()
    assert refused.value.code == "history"
    town.region.selaras("agency", "reload", "dinsos", "--ground", "SK 12/2026")
    welcome = dinsos.first_load(dinsos.blocks, [peer.load("people", nik, town.full("dinsos", {**row, "phone": "0822"}))],
                                town.next_lsn(), incarnation=before)
    assert welcome.incarnation == before + 1
    assert town.region.value(f"SELECT phone FROM selaras.resident WHERE nik = '{nik}'") == "0822"
    dinsos.change(town.next_lsn(), [peer.update("people", nik, {"phone": ("0822", "0833")})])
    assert town.region.value(f"SELECT phone FROM selaras.resident WHERE nik = '{nik}'") == "0833"


def test_an_older_copy_beside_the_one_that_goes_on_is_turned_away(new_town):
    town = new_town
    dinsos = town.loaded("dinsos")
    dinsos.change(town.next_lsn(), [], fence=[5, bytes(16)])
    copy = town.peer("dinsos")
    copy.resume(dinsos)
    copy.fence = [4, bytes(16)]
    with pytest.raises(Refused) as refused:
        copy.hello()
    assert refused.value.code == "busy"
    assert dinsos.ping()
    with pytest.raises(Refused) as refused:
        copy.hello()
    assert refused.value.code == "history"
    assert dinsos.ping()
    assert town.region.value("SELECT state FROM selaras.agency WHERE name = 'dinsos'") == "active"


MALFORMED = {
    "empty": b"", "nil": b"\xc0", "map": b"\x80", "float": peer.pack([1.5, 0, 0]), "trailing": peer.pack([11, 0, 0, 1]) + b"\x00",
    "truncated": peer.pack([3, 1, 1, [[1, 0, True]]])[:-1], "huge array": b"\xdd\xff\xff\xff\xff", "huge str": b"\xdb\xff\xff\xff\xff",
    "deep": b"\x91" * 64 + b"\xc0", "unknown kind": peer.pack([99, 0, 0]), "reserved kind": peer.pack([8, 0, 0]),
    "negative": peer.pack([11, -1, 0, 0]), "not UTF-8": b"\x94\x0e\x00\x00\xa2\xff\xfe", "NUL": peer.pack([14, 0, 0, "a\0b"]),
    "random": bytes(range(256)) * 8, "short hello": peer.pack([1, 0, 0, 1]), "too long": b"\xc6\x00\x0f\xff\xf0" + bytes(0xffff0),
    "31 arrays": b"\xdd\x00\xff\xff\xff" * 31,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_frame_harms_nobody(town, name):
    """It is answered (or the connection is dropped), and another agency notices nothing."""
    dinsos, dinkes = town.loaded("dinsos"), town.loaded("dinkes")
    dinsos.link.send(MALFORMED[name])
    try:
        while True:
            dinsos.receive(0.5)
    except Refused as refused:
        assert refused.code in ("malformed", "no-session")
    except Silence:
        pass
    assert dinkes.ping()
    dinsos.hello()
    assert dinsos.ping()


def test_a_message_of_several_frames_is_malformed(town):
    dinsos = town.loaded("dinsos")
    dinsos.link.send(peer.pack([peer.PING, dinsos.session, 1, 0]), b"more")
    with pytest.raises(Refused) as refused:
        dinsos.receive(5)
    assert refused.value.code == "malformed"


def test_malformed_pieces_harm_nobody(town):
    """Each element of a good message replaced by something else, one at a time."""
    dinsos = town.loaded("dinsos")
    nik = town.nik()
    good = peer.piece(town.next_lsn(), [peer.insert("people", nik, town.full("dinsos", {"nik": nik, "name": "Rusak"}))], dinsos.applied)
    for place in range(len(good)):
        for junk in (None, -1, "x", b"x", [], [[]], 2 ** 64 - 1, True):
            if junk == good[place] or (place in (5, 3) and junk is None) or (place in (6, 7) and junk == []):
                continue
            wrong = [*good[:place], junk, *good[place + 1:]]
            dinsos.send(peer.CHANGES, [wrong])
            try:
                while True:
                    dinsos.receive(0.05)
            except (Refused, Silence):
                pass
            dinsos.hello()
            if dinsos.lsn >= good[0]:       # it was a good message after all: another lsn, commit time or finality
                good[0] = dinsos.lsn + 100
                town.lsn = max(town.lsn, good[0])
    assert dinsos.ping()
