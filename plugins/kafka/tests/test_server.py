"""What only Kafka does, or can have done to it."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import attrs
import pytest
from confluent_kafka import Producer, TopicPartition
from conftest import KAFKA
from told import make, message, texts, turn_of, until, write

import backscroll
from backscroll import Store
from backscroll.backend import Deadline
from backscroll.errors import (
    Closed,
    InvalidOption,
    InvalidURL,
    OutcomeUnknown,
    SchemaError,
    Unavailable,
    VersionConflict,
)
from backscroll.futures import pending
from backscroll_conformance.servers import running
from backscroll_kafka.layout import bound_value, turn_value

Opened = Callable[..., Store]


REPEATS = """
import sys, backscroll
with backscroll.open(sys.argv[1]) as store:
    for line in sys.stdin:
        session_id, turn_id = line.split()
        answer = store.append(session_id, {"role": "user", "content": "own"}, turn_id=turn_id)
        print(answer.seqs[0], flush=True)
"""
"""A process that appends a turn to each session that it is told."""


def test_a_timed_out_turn_that_lands_after_its_repeat_counts_once() -> None:
    """A broker that stands still takes it, and another process repeats it as soon as the broker goes on."""
    with (
        running(KAFKA) as server,
        backscroll.open(server.url) as one,
        Popen([sys.executable, "-c", REPEATS, server.url], stdin=PIPE, stdout=PIPE, text=True) as process,
    ):
        assert process.stdin
        assert process.stdout

        def repeated(session_id: str, turn_id: object) -> int:
            print(session_id, turn_id, file=process.stdin, flush=True)
            return int(process.stdout.readline())

        repeated("warm", "up")
        for number in range(5):
            session_id = f"frozen-{number}"
            one.append(session_id, message("before"))
            turn = attrs.evolve(turn_of(one, "own"), age=0.0)
            with server.paused(), pytest.raises(OutcomeUnknown):
                one._backend.append(session_id, turn, Deadline(1))
            seq = repeated(session_id, turn.turn_id)
            one.append(session_id, message("after"))
            again = one.append(session_id, message("own"), turn_id=turn.turn_id)
            assert (again.seqs, again.duplicate) == ((seq,), True)
            with backscroll.open(server.url) as other:
                for store in (one, other):
                    assert texts(store, session_id) == ["before", "own", "after"]
        process.stdin.close()


def test_foreign_records_are_passed_over_and_counted(
    admin: Any, producer: Any, topic: str, opened: Opened, session_id: str
) -> None:
    """Whatever they hold, before ours and behind them, under the key of a session and under none."""
    make(admin, topic)
    values = [None, b"", b"b", b"bs", b'{"role": "user"}', b"\0" * 100, b"bs\x01\x01\0\x02" + b"\xff" * 60]
    foreign = [(session_id.encode(), value) for value in values] + [(None, b"x"), (b"\xff\xfe", b"x")]
    for _ in range(2):
        for partition in (0, 1):
            for key, value in foreign:
                write(producer, topic, key, value, partition)
        opened().append(session_id, message("ours"))
    store = opened()
    assert texts(store, session_id) == ["ours", "ours"]
    assert store.sessions().session_ids == (session_id,)
    assert store.count(session_id) == 2
    backend: Any = store._backend
    damaged = 1  # the last value looks like ours, and is told apart only where its session is read
    assert sum(backend._views.find(place).foreign for place in backend._views.places) == 4 * (len(foreign) - damaged)


@pytest.mark.parametrize("behind", [0, 600])
def test_records_of_a_later_release_are_an_error(
    producer: Any, admin: Any, topic: str, opened: Opened, behind: int
) -> None:
    """They are not left out in silence by the first call that comes upon one, however far back it lies."""
    make(admin, topic, 1)
    value = bytearray(bound_value(2, 1, 0, 1))
    value[2] = 9
    for each in (bytes(value), *[b"foreign"] * behind):
        producer.produce(topic, each, b"s", partition=0)
    assert producer.flush(30) == 0
    for call in (Store.last, Store.version, Store.count):
        with pytest.raises(SchemaError, match=r"version 9.*install a newer backscroll-kafka"):
            call(opened("partitions=1"), "s")


def test_the_end_of_another_programs_transaction_does_not_hold_up_a_read(
    admin: Any, port: int, topic: str, opened: Opened, session_id: str
) -> None:
    """Its marker takes an offset that no reader is given."""
    make(admin, topic, 1)
    store = opened("partitions=1")
    store.append(session_id, message("a"))
    store.last(session_id)
    other = Producer({"bootstrap.servers": f"localhost:{port}", "transactional.id": topic})
    other.init_transactions(30)
    for _ in range(3):
        other.begin_transaction()
        other.produce(topic, b"x", b"y", partition=0)
        other.commit_transaction(30)
        assert texts(store, session_id) == ["a"]
        assert texts(opened("partitions=1"), session_id) == ["a"]


def test_retention_that_cuts_between_two_pages_breaks_no_read(
    admin: Any, topic: str, opened: Opened, session_id: str
) -> None:
    """What is left comes, in order; `info` says from where on, and appending goes on."""
    for is_warm in (True, False):
        name = f"{session_id} {is_warm}"
        writer = opened("partitions=1")
        seqs = [writer.append(name, message(number)).seqs[0] for number in range(300)]
        reader = writer if is_warm else opened("partitions=1")
        walk = reader.iterate(name)
        first = [next(walk) for _ in range(10)]
        cut = (seqs[250] >> 16) + 1
        [deleted] = admin.delete_records([TopicPartition(topic, 0, cut)]).values()
        deleted.result()
        rest = [record.message.content for record in walk]
        assert [record.message.content for record in first] == [str(number) for number in range(10)]
        assert rest[-49:] == [str(number) for number in range(251, 300)]
        assert rest == sorted(rest, key=int)
        for store in (opened("partitions=1"), opened("partitions=1")):
            assert texts(store, name) == [str(number) for number in range(251, 300)]
            assert store.info(name).first_seq == cut << 16
            assert store.last(name, 1)[0].seq == seqs[-1]
        assert writer.append(name, message("more")).seqs[0] > seqs[-1]


def test_once_retention_took_all_a_session_goes_on_at_later_seqs(
    admin: Any, topic: str, opened: Opened, session_id: str
) -> None:
    """Whoever opens a store then finds version 0; no seq is given again."""
    first = opened("partitions=1").append(session_id, message("a"))
    [deleted] = admin.delete_records([TopicPartition(topic, 0, -1)]).values()
    deleted.result()
    store = opened("partitions=1")
    assert (texts(store, session_id), store.version(session_id), store.sessions().session_ids) == ([], 0, ())
    answer = store.append(session_id, message("b"), expected_version=0)
    assert answer.seqs[0] > first.seqs[-1]
    assert texts(store, session_id) == ["b"]


def test_a_client_that_is_new_sees_a_deletion_and_a_removal(opened: Opened, session_id: str) -> None:
    """Also where they lie behind more records of others than it looks back over at first."""
    writer = opened("partitions=1")
    old = writer.append(session_id, [message("a"), message("b")], turn_id="own")
    other = writer.append("other", [message("a"), message("b")])
    writer.remove("other", [other.seqs[0]])
    writer.delete(session_id)
    for number in range(1_200):
        writer.append(f"crowd {number % 7}", message(number))
    cold = opened("partitions=1")
    assert (texts(cold, session_id), cold.version(session_id)) == ([], 0)
    assert texts(cold, "other") == ["b"]
    assert session_id not in cold.sessions(limit=100).session_ids
    answer = opened("partitions=1").append(session_id, [message("a"), message("b")], turn_id="own")
    assert (answer.duplicate, answer.seqs[0] > old.seqs[-1]) == (False, True)


def test_an_unknown_try_decides_about_its_own_session_only(topic: str, opened: Opened) -> None:
    """The same turn_id in another session is another turn, also where both were doubtful."""
    store = opened("partitions=1")
    backend: Any = store._backend
    for name in ("one", "two"):
        store.append(name, message("before"))
    turn = turn_of(store, "own")
    backend._doubtful[(b"one", turn.turn_id.bytes)] = 0
    for name in ("one", "two"):
        answer = backend.append(name, attrs.evolve(turn, age=1.0), Deadline(10))
        assert not answer.duplicate
        assert texts(store, name) == ["before", "own"]


def test_a_conditional_turn_that_is_there_is_never_told_as_a_conflict(
    producer: Any, topic: str, opened: Opened, session_id: str
) -> None:
    """Its late first try lands between the look and the repeat."""
    store, other = opened("partitions=1"), opened("partitions=1")
    backend: Any = store._backend
    version = store.append(session_id, message("before")).version
    turn = attrs.evolve(turn_of(store, "own"), expected_version=version)
    sight_end = backend._views.find((topic, 0)).end if backend._views.find((topic, 0)) else 1

    produce = backend._connections.produce

    def late(place: Any, key: bytes, value: bytes, deadline: Any) -> Any:
        write(producer, topic, key, turn_value(turn, sight_end, 1))  # the first try
        return produce(place, key, value, deadline)

    backend._connections.produce = late
    answer = backend.append(session_id, attrs.evolve(turn, age=None), Deadline(10))
    assert (answer.duplicate, answer.seqs) == (True, ((version >> 16) + 1 << 16,))
    for each in (store, other):
        assert texts(each, session_id) == ["before", "own"]


def test_what_the_driver_wrote_twice_is_answered_by_the_first_copy(
    producer: Any, topic: str, opened: Opened, session_id: str
) -> None:
    """As it does with what it has under way when a record times out; what a removal removed cannot be told then."""
    store = opened("partitions=1")
    backend: Any = store._backend
    version = store.append(session_id, message("before")).version
    produce = backend._connections.produce

    def twice(place: Any, key: bytes, value: bytes, deadline: Any) -> Any:
        write(producer, topic, key, value)
        answer = produce(place, key, value, deadline).result(30)
        unsure: Future[Any] = pending()
        unsure.set_result(answer._replace(is_sure=False))
        return unsure

    backend._connections.produce = twice
    answer = store.append(session_id, message("own"))
    assert (answer.duplicate, answer.seqs) == (False, ((version >> 16) + 1 << 16,))
    for each in (store, opened("partitions=1")):
        assert [record.seq for record in each.last(session_id)][1:] == list(answer.seqs)
        assert texts(each, session_id) == ["before", "own"]
    with pytest.raises(OutcomeUnknown, match="wrote it anew"):
        store.remove(session_id, answer.seqs)
    assert texts(store, session_id) == ["before"]


def test_a_conditional_turn_that_another_one_overtakes_conflicts(
    producer: Any, topic: str, opened: Opened, session_id: str
) -> None:
    """Between the look and the produce; the record lies in the log and counts for nobody."""
    store = opened("partitions=1")
    backend: Any = store._backend
    version = store.append(session_id, message("before")).version
    produce, rival = backend._connections.produce, turn_of(store, "rival")

    def overtaken(place: Any, key: bytes, value: bytes, deadline: Any) -> Any:
        write(producer, topic, key, turn_value(rival, 1, 1))
        return produce(place, key, value, deadline)

    backend._connections.produce = overtaken
    with pytest.raises(VersionConflict) as caught:
        store.append(session_id, message("own"), expected_version=version)
    assert caught.value.current == store.version(session_id) > version
    for each in (store, opened("partitions=1")):
        assert texts(each, session_id) == ["before", "rival"]


def test_past_its_budget_the_index_is_given_up_and_everything_is_found_all_the_same(opened: Opened) -> None:
    """By scanning; the sessions in use stay known."""
    writer = opened()
    names = [f"session {number:02}" for number in range(40)]
    for name in names:
        writer.append(name, [message("a"), message("b")], turn_id="own")
    writer.delete(names[5])
    for store in (writer, opened()):
        backend: Any = store._backend
        backend._views._index_bytes = 1
        for name in names:
            expected = [] if name == names[5] else ["a", "b"]
            assert texts(store, name) == expected
            assert [record.message.content for record in store.last(name)] == expected
        assert backend._views.is_full
        page = store.sessions(limit=20)
        assert [*page, *store.sessions(limit=100, cursor=page.cursor)] == [*names[:5], *names[6:]]
        assert store.append(names[0], [message("a"), message("b")], turn_id="own").duplicate
    assert not store.append(names[0], message("c"), turn_id="other").duplicate
    for name in names[:3]:
        backend._views._forget_session(*next(one for one in backend._views._used if one[1] == name.encode()))
        assert texts(store, name)[:2] == ["a", "b"]


def test_a_child_of_a_fork_ends_like_any_process(port: int, topic: str, opened: Opened, session_id: str) -> None:
    """The clients of its parent, which it cannot free, do not hold it up; it appends with its own."""
    code = (
        "import backscroll, os, sys\n"
        "message = lambda text: {'role': 'user', 'content': text}\n"
        "store = backscroll.open(sys.argv[1])\n"
        "store.append(sys.argv[2], message('parent'))\n"
        "store.last(sys.argv[2])\n"
        "child = os.fork()\n"
        "if child:\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
        "    store.append(sys.argv[2], message('parent again'))\n"
        "else:\n"
        "    store.append(sys.argv[2], message('child'))\n"
        "    assert len(store.last(sys.argv[2])) == 2\n"
        "store.close()\n"
    )
    url = f"kafka://localhost:{port}/{topic}?partitions=2"
    subprocess.run([sys.executable, "-c", code, url, session_id], check=True, timeout=60)
    assert texts(opened(), session_id) == ["parent", "child", "parent again"]


def test_a_broker_that_is_not_there_is_told(session_id: str) -> None:
    """By the deadline, that nothing was sent, and what to look at."""
    with backscroll.open("kafka://localhost:1/topic", timeout=1.0) as store:
        for call in (lambda: store.last(session_id), lambda: store.append(session_id, message("a")), store.ping):
            with pytest.raises(Unavailable, match=r"are hosts, ports and security\.protocol right"):
                call()


def test_whoever_waits_is_told_at_once_that_the_store_was_closed() -> None:
    """Also where the broker stands still; and then nothing of the store is left open."""

    def go_on(store: Store, ended: list[type], call: Callable[[Store], object]) -> None:
        while True:
            try:
                call(store)
            except (Closed, OutcomeUnknown) as error:
                ended.append(type(error))
                return

    calls: list[Callable[[Store], object]] = [
        lambda store: store.last("a"),
        lambda store: store.info("b"),
        lambda store: store.append("c", message("c")),
    ]
    left: list[int] = []
    with running(KAFKA) as server:
        for _ in range(2):
            store, ended = backscroll.open(server.url), list[type]()
            for call in calls:
                call(store)
            threads = [threading.Thread(target=go_on, args=(store, ended, call)) for call in calls]
            with server.paused():
                for thread in threads:
                    thread.start()
                until(lambda store=store: store._backend._connections._asking)
                begin = time.monotonic()
                store.close()
                for thread in threads:
                    thread.join()
                assert time.monotonic() - begin < 1
            assert len(ended) == len(calls)
            del store
            until(lambda: not any(thread.name.startswith("backscroll-kafka") for thread in threading.enumerate()))
            left.append(len([*Path("/proc/self/fd").iterdir()]))
    assert left[1] <= left[0]


def test_what_does_not_go_together_is_refused() -> None:
    """When the store is opened, with what to do instead; no password is repeated."""
    with pytest.raises(InvalidURL, match="has to name a topic"):
        backscroll.open("kafka://localhost/")
    with pytest.raises(InvalidURL, match="has to name a topic"):
        backscroll.open("kafka://localhost/a b")
    with pytest.raises(InvalidOption, match="takes a user and a password"):
        backscroll.open("kafka://localhost/topic?security.protocol=sasl_ssl")
    with pytest.raises(InvalidOption, match="shows no user") as caught:
        backscroll.open("kafka://user:canary@localhost/topic?security.protocol=plaintext")
    assert "canary" not in str(caught.value)
    with pytest.raises(InvalidOption, match=r"did you mean sasl\.username"):
        backscroll.open("kafka://localhost/topic?sasl.usrname=x")
    with pytest.raises(InvalidOption, match=r"give sasl\.username, too"):
        backscroll.open("kafka://localhost/topic", sasl_password="canary")
    with pytest.raises(InvalidOption, match="such as 30d"):
        backscroll.open("kafka://localhost/topic?retention=soon")


def test_a_store_that_is_new_deletes_a_session_that_another_one_has_drained(opened: Opened, session_id: str) -> None:
    """Also where more records of others lie behind than it looks back over at first."""
    writer = opened("partitions=1")
    for crowd in (0, 600):
        version = writer.append(session_id, message("a")).version
        writer._backend.discard(session_id, version, Deadline(10))
        for number in range(crowd):
            writer.append("crowd", message(number))
        cold = opened("partitions=1")
        cold._backend.delete(session_id, version, Deadline(10))
        assert [store.version(session_id) for store in (cold, writer, opened("partitions=1"))] == [0, 0, 0]
    version = writer.append(session_id, message("kept")).version
    opened("partitions=1")._backend.delete(session_id, version, Deadline(10))
    assert writer.version(session_id) == version
