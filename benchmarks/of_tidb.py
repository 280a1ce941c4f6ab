"""The measures of TiDB: each gives rows, PyMySQL alone and langchain-community interleaved in the same run, medians.

The server has the store that it brings along, so that no second machine and no network hides what is measured.
"""

import json
import logging
import re
import statistics
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from itertools import count
from typing import Any

import pymysql
from langchain_community.chat_message_histories import TiDBChatMessageHistory
from langchain_core.messages import AIMessage, HumanMessage
from pymysql.constants import CLIENT
from rows import SESSION, TURN, Row, interleaved, microseconds, on_server, race, trips

import backscroll
from backscroll import Store
from backscroll.backend import Turn, Window
from backscroll.envelope import encode_turn
from backscroll.errors import OutcomeUnknown, Unavailable, WindowExceeded
from backscroll_conformance.containers import Server
from backscroll_conformance.relay import Relay
from backscroll_tidb.connections import SETTINGS
from backscroll_tidb.layout import Layout
from backscroll_tidb.plugin import backscroll_servers
from backscroll_tidb.refusals import AGAIN, code_of

(SPEC,) = backscroll_servers()

LAYOUT = Layout("backscroll_", None, is_tidb=True)
MESSAGE = LAYOUT.table("message")

CALLS = 50
"""How often a side acts before the other one does."""


def _url(port: int, scheme: str = "tidb") -> str:
    return f"{scheme}://root@localhost:{port}/test"


def _raw(server: Server) -> Any:
    """A connection of PyMySQL, set up like those of the store."""
    where = {"host": "localhost", "port": server.published[0], "user": "root", "database": "test", "ssl_disabled": True}
    settings = {"charset": "utf8mb4", "autocommit": True, "init_command": SETTINGS}
    return pymysql.connect(**where, **settings, client_flag=CLIENT.MULTI_STATEMENTS)


def _send(raw: Any, packet: str) -> Sequence[tuple[Any, ...]]:
    """Send a packet of statements and read every answer; gives the rows of the first."""
    with raw.cursor() as cursor:
        cursor.execute(packet)
        rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
        while cursor.nextset():
            pass
        return rows


def _send_until_taken(raw: Any, packet: str) -> Any:
    """Send a packet until no other writer is in its way."""
    while True:
        try:
            return _send(raw, packet)
        except pymysql.err.MySQLError as error:
            if code_of(error) not in AGAIN and not isinstance(error, pymysql.err.IntegrityError):
                raise


def _last(raw: Any) -> list[Any]:
    """The newest twenty messages of the long session."""
    wanted = f"session_id = X'{b'long'.hex()}' ORDER BY seq DESC LIMIT 20"
    found = _send(raw, f"SELECT seq, expires_at, body FROM {MESSAGE} WHERE {wanted}")
    return [json.loads(body)["message"] for _, _, body in reversed(found)]


def _turn() -> Turn:
    turn_id = uuid.uuid4()
    bodies, digest = encode_turn(TURN, turn_id, time.time_ns() // 1_000, None)
    return Turn(turn_id, digest, bodies)


def _packets(session_id: str, number: int) -> Iterator[str]:
    """Ready-made packets, each with a turn of its own."""
    return iter(["; ".join(LAYOUT.append(session_id, _turn())) for _ in range(number)])


def _langchain(port: int, session_id: str) -> TiDBChatMessageHistory:
    return TiDBChatMessageHistory(session_id, _url(port, "mysql+pymysql"))


def _as_langchain(turn: Sequence[dict[str, str]] = TURN) -> list[Any]:
    return [HumanMessage(turn[0]["content"]), AIMessage(turn[1]["content"])]


def appends(server: Server, rounds: int) -> Iterator[Row]:
    """A turn of two messages of 400 bytes."""
    with backscroll.open(server.url) as store, _raw(server) as raw:
        store.append(SESSION, TURN)

        def theirs() -> float:
            packets = _packets("raw", CALLS)
            return microseconds(lambda: _send(raw, next(packets)), CALLS)

        a, b, ratio = interleaved(lambda: microseconds(lambda: store.append(SESSION, TURN), CALLS), theirs, rounds)
        yield Row("append", a, "µs")
        yield Row("append, the same packet by PyMySQL", b, "µs")
        yield Row("append / the same packet", ratio, "times", "<=", 1.25)
        yield from _beside_langchain(store, server.published[0], rounds, "", 1.5)


def _beside_langchain(store: Store, port: int, rounds: int, where: str, target: float) -> Iterator[Row]:
    peer, turn = _langchain(port, "peer"), _as_langchain()
    b, _, ratio = interleaved(
        lambda: microseconds(lambda: peer.add_messages(turn), CALLS),
        lambda: microseconds(lambda: store.append(SESSION, TURN), CALLS),
        rounds,
    )
    yield Row(f"append by langchain-community{where}", b, "µs")
    yield Row(f"append by langchain-community / ours{where}", ratio, "times", ">=", target)


class Far(Relay):
    """A relay to a server that is a millisecond away; the request, which comes in one piece, waits for both ways."""

    def taken(self) -> Any:
        """What holds the request that has just come, if anything does."""
        time.sleep(0.002)
        return super().taken()


def far(server: Server, rounds: int) -> Iterator[Row]:
    """The same turn, where the server is a millisecond away."""
    with Far(server.published[0]) as relay, backscroll.open(_url(relay.ports[0])) as store:
        store.append(SESSION, TURN)
        yield from _beside_langchain(store, relay.ports[0], rounds, ", 1 ms away", 4)


def round_trips(server: Server, _: int) -> Iterator[Row]:
    """How often an operation goes to the server and back, counted on the line."""
    with Relay(server.published[0]) as relay, backscroll.open(_url(relay.ports[0])) as store:
        yield from trips(store, relay, times=CALLS, most=1)


def reads(server: Server, rounds: int) -> Iterator[Row]:
    """The last twenty messages of a long session and of a short one, among 10,000."""
    with backscroll.open(server.url) as store, _raw(server) as raw:
        store.setup()
        _fill(raw, {"long": 100_000, "short": 100} | {f"session {number:05}": 4 for number in range(10_000)})
        ours = partial(microseconds, partial(store.last, "long", 20), CALLS)
        a, b, ratio = interleaved(ours, lambda: microseconds(lambda: _last(raw), CALLS), rounds)
        yield Row("last(20) of 100,000 messages", a, "µs")
        yield Row("last(20), SELECT and json.loads by PyMySQL", b, "µs")
        yield Row("last(20) / SELECT and json.loads", ratio, "times", "<=", 1.4)
        _, _, ratio = interleaved(ours, lambda: microseconds(lambda: store.last("short", 20), CALLS), rounds)
        yield Row("last(20) of 100,000 messages / of 100", ratio, "times", "<=", 1.2)
        yield Row("what its plan lacks", _lacking(raw), "", "<=", 0)


def _fill(raw: Any, sizes: dict[str, int]) -> None:
    """Make sessions of so many messages, many rows at once."""
    messages = (
        (name.encode(), first + index, body)
        for name, size in sizes.items()
        for first in range(0, size, len(TURN))
        for index, body in enumerate(_turn().bodies)
    )
    with raw.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {MESSAGE} (session_id, seq, body) VALUES (%s, %s, %s)", messages)
    counts = f"SELECT session_id, COUNT(*), 0, '' FROM {MESSAGE} GROUP BY session_id"
    _send(raw, f"INSERT INTO {LAYOUT.table('session')} (session_id, next_seq, first_seq, recent) {counts}")


def _lacking(raw: Any) -> int:
    """How much the plan of the newest twenty lacks of a walk from the end that ends where the rows are."""
    statement = LAYOUT.read("long", Window(None, None, 20, newest=True, now=0), only_live=False)
    plan = [" ".join(map(str, step)) for step in _send(raw, f"EXPLAIN {statement}")]
    wanted = r"TableRangeScan.*keep order:true, desc", r"Limit.*cop\[tikv\]"
    return sum(not any(re.search(one, step) for step in plan) for one in wanted)


CONTENDERS, APART, TURNS = 16, 8, 20
"""How many threads append to one session, how many to one each, and how many turns each before the other side does."""


def contended(server: Server, rounds: int) -> Iterator[Row]:
    """Sixteen threads append to one session."""
    rounds, ours, theirs = min(rounds, 7), list[float](), list[float]()
    with backscroll.open(server.url) as store, ExitStack() as stack:
        store.setup()
        raws = [stack.enter_context(_raw(server)) for _ in range(CONTENDERS)]
        _send(raws[0], f"CREATE TABLE contended LIKE {MESSAGE}")
        insert = _insert_after_newest(SESSION)
        a, b, ratio = interleaved(
            lambda: _race([partial(store.append, SESSION, TURN)] * CONTENDERS, ours),
            lambda: _race([partial(_send_until_taken, raw, insert) for raw in raws], theirs),
            rounds,
        )
        yield Row(f"{CONTENDERS} threads on one session", a, "turns/s")
        yield Row("the same by INSERT … SELECT MAX(seq)", b, "turns/s")
        yield Row("threads / INSERT … SELECT MAX(seq)", ratio, "times", ">=", 1.2)
        yield Row("p95 of an append among them", statistics.median(ours), "ms")
        yield Row("p95 by INSERT … SELECT MAX(seq)", statistics.median(theirs), "ms")
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        yield Row("p95 / INSERT … SELECT MAX(seq)", ratio, "times", "<=", 0.3)
        yield Row("turns lost, doubled, torn or moved", _faults(store, rounds * CONTENDERS * TURNS), "turns", "<=", 0)


def _insert_after_newest(session_id: str) -> str:
    """A turn after the newest message, without a counter, in one statement."""
    session = f"X'{session_id.encode().hex()}'"
    rows = (
        f"SELECT {session}, COALESCE(MAX(seq), -1) + {place}, NULL, NULL, X'{body.hex()}' "
        f"FROM contended WHERE session_id = {session}"
        for place, body in enumerate(_turn().bodies, 1)
    )
    return f"INSERT INTO contended (session_id, seq, expires_at, purge_at, body) {' UNION ALL '.join(rows)}"


def _race(acts: Sequence[Callable[[], Any]], p95s: list[float]) -> float:
    """Do each of these in a thread of its own, again and again; gives how many in a second, and notes the p95 in ms."""
    per_second, waits = race(acts, TURNS)
    p95s.append(statistics.quantiles(waits, n=20)[-1] / 1e3)
    return per_second


def _faults(store: Store, turns: int) -> int:
    """How much is not there once, in one piece and where it ought to be."""
    records = list(store.iterate(SESSION))
    faults = abs(len({record.turn_id for record in records}) - turns) + abs(len(records) - 2 * turns)
    pairs = zip(records[::2], records[1::2], strict=False)
    faults += sum((first.turn_id, first.message.role) != (second.turn_id, "user") for first, second in pairs)
    return faults + sum(record.seq != place for place, record in enumerate(records))


def apart(server: Server, rounds: int) -> Iterator[Row]:
    """Eight threads append to eight sessions."""
    with backscroll.open(server.url) as store, ExitStack() as stack:
        store.setup()
        raws = [stack.enter_context(_raw(server)) for _ in range(APART)]
        ours = partial(_race, [partial(store.append, f"ours {number}", TURN) for number in range(APART)], [])

        def theirs() -> float:
            packets = [_packets(f"raw {number}", TURNS) for number in range(APART)]
            return _race([lambda one=one: _send(one[0], next(one[1])) for one in zip(raws, packets, strict=True)], [])

        a, b, ratio = interleaved(ours, theirs, min(rounds, 7))
        yield Row(f"{APART} threads on {APART} sessions", a, "turns/s")
        yield Row("the same packets by PyMySQL", b, "turns/s")
        yield Row("threads / the same packets", ratio, "times", ">=", 0.8)


KILLS, PEER_KILLS, WRITERS = 20, 2, 4
DOWN, PATIENCE = 1.5, 30.0
"""For how many seconds the server is up and down, and for how many a turn is repeated until it is given up."""


def killed(server: Server, _: int) -> Iterator[Row]:
    """The server is killed while four threads append; only when asked for, since it takes long."""
    with backscroll.open(server.url) as store:
        store.setup()
        sums = sum((_killed_ours(server, store, f"killed {number}") for number in range(KILLS)), Counter[str]())
    yield Row(f"turns acknowledged around {KILLS} kills of the server", sums["acknowledged"], "turns")
    yield Row("… of them lost", sums["lost"], "turns", "<=", 0)
    yield Row("turns doubled or torn", sums["doubled or torn"], "turns", "<=", 0)
    yield Row("turns given up", sums["given up"], "turns")
    logging.getLogger("langchain_community").setLevel(logging.CRITICAL)
    sums = sum((_killed_langchain(server, f"killed {number}") for number in range(PEER_KILLS)), Counter[str]())
    yield Row(f"turns that langchain-community took around {PEER_KILLS} kills", sums["acknowledged"], "turns")
    yield Row("… of them lost", sums["lost"], "turns")


def _killed_ours(server: Server, store: Store, session_id: str) -> Counter[str]:
    def append(writer: int, name: str) -> bool:
        # An id of the caller's own goes another way to the server than one that the store makes.
        return _appended(store, session_id, _named(name), uuid.uuid4() if writer % 2 else None)

    tried = _through_a_kill(server, append)
    return _outcomes(tried, (str(record.message.content) for record in store.iterate(session_id)))


def _killed_langchain(server: Server, session_id: str) -> Counter[str]:
    peers = [_langchain(server.published[0], session_id) for _ in range(WRITERS)]

    def append(writer: int, name: str) -> bool:
        with suppress(Exception):
            peers[writer].add_messages(_as_langchain(_named(name)))
            return True
        return False

    tried = _through_a_kill(server, append)
    return _outcomes(tried, (str(one.content) for one in _langchain(server.published[0], session_id).messages))


def _named(name: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"{name}.0"}, {"role": "assistant", "content": f"{name}.1"}]


def _appended(store: Store, session_id: str, turn: list[dict[str, str]], turn_id: uuid.UUID | None) -> bool:
    """Append a turn, again and again where it failed; gives whether it was acknowledged."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            store.append(session_id, turn, turn_id=turn_id)
        except WindowExceeded:
            return False
        except OutcomeUnknown as error:
            turn_id = error.turn_id
        except Unavailable:
            time.sleep(0.05)
        else:
            return True
    return False


def _through_a_kill(server: Server, append: Callable[[int, str], bool]) -> dict[str, bool]:
    """Let threads append before, while and after the server is down; gives which turns were acknowledged."""
    tried: dict[str, bool] = {}
    over = threading.Event()

    def write(writer: int) -> None:
        for place in count():
            if over.wait(0.005):
                return
            tried[f"{writer}.{place}"] = append(writer, f"{writer}.{place}")

    with ThreadPoolExecutor(WRITERS) as pool:
        writing = pool.map(write, range(WRITERS))
        try:
            for act in (server.kill, server.start_again):
                time.sleep(DOWN)
                act()
            time.sleep(DOWN)
        finally:
            over.set()
    list(writing)  # raises what a writer raised
    return tried


def _outcomes(tried: dict[str, bool], contents: Iterable[str]) -> Counter[str]:
    """How the turns fared."""
    found = Counter(contents)
    outcomes = Counter[str]()
    for name, acknowledged in tried.items():
        first, second = found[f"{name}.0"], found[f"{name}.1"]
        outcomes["acknowledged" if acknowledged else "given up"] += 1
        outcomes["lost"] += acknowledged and not (first and second)
        outcomes["doubled or torn"] += first != second or first > 1
    return outcomes


EVERY = (appends, far, round_trips, reads, contended, apart, killed)
MEASURES = {measure.__name__: on_server(SPEC, measure) for measure in EVERY}
ONLY_WHEN_NAMED = {"killed"}


def version() -> str:
    """What was measured."""
    return f"PyMySQL {pymysql.__version__}, {SPEC.image}"
