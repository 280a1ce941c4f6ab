"""`KafkaChatMessageHistory` on a real broker, in place of the one of langchain-community."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import ConfigResource
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage, message_to_dict
from released import KafkaChatMessageHistory as Released

from backscroll.backend import Deadline, Turn
from backscroll.errors import (
    DeadlineExceeded,
    InvalidArgument,
    OutcomeUnknown,
    StorageError,
    Unavailable,
    UnreadableMessage,
)
from backscroll_kafka import topic_of
from backscroll_langchain import KafkaChatMessageHistory
from backscroll_langchain.kafka_original import KafkaOriginal
from backscroll_langchain.kafka_positions import Positions, group_of
from backscroll_langchain.kafka_reading import Reading
from backscroll_langchain.messages import from_langchain
from backscroll_langchain.originals import messages_of, moved
from backscroll_langchain.sharing import close_all

Made = Callable[..., KafkaChatMessageHistory]


@pytest.fixture
def made(kafka_servers: str, session_id: str) -> Iterator[Made]:
    """Makes histories of a session of the test's own."""

    def made(session_id: str = session_id, **options: Any) -> KafkaChatMessageHistory:
        return KafkaChatMessageHistory(session_id, kafka_servers, **options)

    yield made
    close_all()


@pytest.fixture
def history(made: Made) -> KafkaChatMessageHistory:
    """A history of it."""
    return made()


@pytest.fixture
def released(kafka_servers: str, session_id: str) -> Any:
    """LangChain's own history of it."""
    return Released(session_id, kafka_servers)


def write(released: Any, begin: int, end: int) -> None:
    """Let the original write messages that say their numbers, no two of them in the same millisecond."""
    for number in range(begin, end):
        released.add_messages(numbered(number, number + 1))
        written = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 == written:
            pass


def contents(messages: list[BaseMessage]) -> list[Any]:
    """What messages say."""
    return [message.content for message in messages]


def numbered(begin: int, end: int) -> list[BaseMessage]:
    """Messages that say their numbers."""
    return [HumanMessage(str(number)) for number in range(begin, end)]


def numbers(begin: int, end: int) -> list[str]:
    """What they say."""
    return [str(number) for number in range(begin, end)]


def offsets(admin: Any, group: str) -> dict[str, list[tuple[int, int]]]:
    """Where a group is."""
    (answer,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
    found: dict[str, list[tuple[int, int]]] = {}
    for place in sorted(answer.result().topic_partitions, key=lambda one: one.partition):
        found.setdefault(place.topic, []).append((place.partition, place.offset))
    return found


def set_back(admin: Any, group: str, topic: str, offset: int, partition: int = 0) -> None:
    """Move a group, as Kafka's own tools do."""
    wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition, offset)])
    (answer,) = admin.alter_consumer_group_offsets([wanted]).values()
    answer.result()


def test_the_program_of_the_documentation_runs_with_another_import(kafka_servers: str, session_id: str) -> None:
    """And prints what it should; from the beginning it prints the turns in their order, as the original does not."""
    history = KafkaChatMessageHistory(
        session_id,
        bootstrap_servers=kafka_servers,
    )
    history.add_user_message("hi!")
    history.add_ai_message("whats up?")
    first = [HumanMessage("hi!"), AIMessage("whats up?")]
    assert history.messages == first
    assert history.messages == []
    history.add_user_message("hi again!")
    history.add_ai_message("whats up again?")
    second = [HumanMessage("hi again!"), AIMessage("whats up again?")]
    assert history.messages == second
    assert history.messages_from_beginning() == first + second
    assert history.messages_from_latest() == []
    history.add_user_message("HI!")
    history.add_ai_message("WHATS UP?")
    assert history.messages == [HumanMessage("HI!"), AIMessage("WHATS UP?")]
    history.close()
    close_all()


def test_the_order_is_right_in_every_run(made: Made, session_id: str) -> None:
    """Of messages that were added one by one, by several histories in turn."""
    for run in range(5):
        name = f"{session_id} {run}"
        for number in range(20):
            made(name).add_messages(numbered(number, number + 1))
        close_all()
        assert contents(made(name).messages_from_beginning(None)) == numbers(0, 20)


def test_a_cap_ends_where_it_has_to_also_within_a_turn(made: Made, admin: Any, session_id: str) -> None:
    """Whoever reads next goes on there, and the group says up to which record all was read."""
    made().add_messages(numbered(0, 7))
    made().add_messages(numbered(7, 9))
    group, topic = group_of(session_id), topic_of("backscroll_langchain-", session_id)
    read = []
    for count, offset in ((3, 0), (3, 0), (1, 1), (1, 1), (5, 2)):
        read.append(contents(made().messages_from_last_consumed(count)))
        close_all()  # what this process knows is forgotten
        assert offsets(admin, group) == {topic: [(0, offset)]}
    assert read == [numbers(0, 3), numbers(3, 6), ["6"], ["7"], ["8"]]
    assert made().messages_from_last_consumed(0) == []
    assert contents(made().messages_from_beginning(2)) == numbers(0, 2)
    assert contents(made().messages) == numbers(2, 9)
    assert made().messages_from_beginning(0) == []
    assert contents(made().messages) == numbers(0, 9)
    assert contents(made().messages_from_beginning()) == numbers(0, 5)


def test_no_read_waits_for_more(history: KafkaChatMessageHistory) -> None:
    """The time is an upper bound, and not waited out."""
    history.add_messages(numbered(0, 2))
    began = time.monotonic()
    assert contents(history.messages_from_beginning(None, 600.0)) == numbers(0, 2)
    assert history.messages_from_latest(5, 600.0) == []
    assert history.messages_from_last_consumed(5, 600.0) == []
    assert history.messages_from_last_consumed(None, None) == []
    assert time.monotonic() - began < 60
    with pytest.raises(DeadlineExceeded):
        history.messages_from_beginning(None, 1e-9)
    history.add_messages(numbered(2, 4))
    assert contents(history.messages) == numbers(2, 4)


def test_a_group_that_a_consumer_has_joined_is_told(
    history: KafkaChatMessageHistory, kafka_servers: str, session_id: str
) -> None:
    """It could not be moved; nothing is lost by it."""
    history.add_messages(numbered(0, 2))
    group, topic = group_of(session_id), topic_of("backscroll_langchain-", session_id)
    consumer = Consumer({"bootstrap.servers": kafka_servers, "group.id": group, "enable.auto.commit": False})
    consumer.subscribe([topic])
    deadline = time.monotonic() + 30
    while not consumer.assignment():
        assert time.monotonic() < deadline
        consumer.poll(0.1)
    with pytest.raises(StorageError, match="a consumer has joined the group"):
        _ = history.messages
    consumer.close()
    assert contents(history.messages) == numbers(0, 2)


def test_a_child_of_a_fork_reads_on(kafka_servers: str, session_id: str) -> None:
    """With clients of its own, from where its parent left off; and the parent goes on behind it."""
    code = (
        "import os, sys\n"
        "from backscroll_langchain import KafkaChatMessageHistory\n"
        "history = KafkaChatMessageHistory(*sys.argv[1:])\n"
        "def read(): return [message.content for message in history.messages]\n"
        "history.add_user_message('a')\n"
        "assert read() == ['a']\n"
        "history.add_user_message('b')\n"
        "child = os.fork()\n"
        "if child:\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
        "    assert read() == ['c']\n"
        "else:\n"
        "    assert read() == ['b']\n"
        "    history.add_user_message('c')\n"
    )
    subprocess.run([sys.executable, "-c", code, session_id, kafka_servers], check=True, timeout=60)


def test_what_was_added_before_the_end_was_taken_comes_no_more(history: KafkaChatMessageHistory) -> None:
    """Until it is read from the beginning; printing a history is no read."""
    history.add_messages(numbered(0, 2))
    history.messages_from_latest()
    assert str(history) == "Human: 0\nHuman: 1"
    history.add_messages(numbered(2, 4))
    assert contents(history.messages) == numbers(2, 4)
    assert contents(history.messages_from_beginning(None)) == numbers(0, 4)
    assert history.messages == []


def test_kafkas_own_tools_set_the_position_back(history: KafkaChatMessageHistory, admin: Any, session_id: str) -> None:
    """To a record of the topic; from there on reading goes on as ever."""
    history.add_messages(numbered(0, 2))
    history.add_messages(numbered(2, 4))
    assert contents(history.messages) == numbers(0, 4)
    set_back(admin, group_of(session_id), topic_of("backscroll_langchain-", session_id), 1)
    assert contents(history.messages_from_last_consumed(1)) == ["2"]
    assert contents(history.messages) == ["3"]
    assert history.messages == []


def test_a_group_that_kafka_forgot_changes_nothing(
    history: KafkaChatMessageHistory, admin: Any, session_id: str
) -> None:
    """It does so some days after the last read."""
    history.add_messages(numbered(0, 2))
    assert contents(history.messages) == numbers(0, 2)
    (answer,) = admin.delete_consumer_groups([group_of(session_id)]).values()
    answer.result()
    assert history.messages == []
    history.add_messages(numbered(2, 4))
    assert contents(history.messages) == numbers(2, 4)


READER = """
import sys
from backscroll_langchain import KafkaChatMessageHistory
history = KafkaChatMessageHistory(sys.argv[1], sys.argv[2])
print("ready", flush=True)
while True:
    for message in history.messages_from_last_consumed(3):
        if message.content == "end":
            sys.exit()
        print(message.content, flush=True)
"""


def test_of_processes_that_read_at_once_each_message_goes_to_one(
    made: Made, kafka_servers: str, session_id: str
) -> None:
    """While others are added; each process gets them in their order."""
    command = [sys.executable, "-c", READER, session_id, kafka_servers]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    for number in range(0, 80, 2):
        made().add_messages(numbered(number, number + 2))
    made().add_messages([HumanMessage("end")] * 6)
    got = [reader.communicate(timeout=60)[0].split() for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0]
    assert Counter(got[0] + got[1]) == Counter(numbers(0, 80))
    assert [sorted(each, key=int) for each in got] == got


def test_of_threads_that_read_at_once_each_message_goes_to_one(made: Made) -> None:
    """Each has a history of its own."""
    for number in range(60):
        made().add_messages(numbered(number, number + 1))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: contents(made().messages_from_last_consumed(5)), range(20)))
    assert Counter(chain.from_iterable(found)) == Counter(numbers(0, 60))


@pytest.mark.parametrize("lands", [True, False])
def test_a_move_whose_outcome_is_unknown_is_settled_by_the_next_read(
    made: Made, monkeypatch: pytest.MonkeyPatch, lands: bool
) -> None:
    """Whether it landed or not, the messages that nobody was given come, and come once."""
    made().add_messages(numbered(0, 3))
    claim = Positions.claim

    def lost(*arguments: Any) -> int:
        if lands:
            claim(*arguments)
        raise OutcomeUnknown("no answer")

    monkeypatch.setattr(Positions, "claim", lost)
    with pytest.raises(OutcomeUnknown):
        made().messages_from_last_consumed(2)
    monkeypatch.undo()
    made().add_messages(numbered(3, 5))
    assert contents(made().messages_from_last_consumed(1)) == ["0"]
    assert contents(made().messages) == numbers(1, 5)
    assert made().messages == []


def test_a_move_that_somebody_else_made_meanwhile_is_not_made_again(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found for it is given to nobody."""
    made().add_messages(numbered(0, 3))

    def lost(*_: Any) -> int:
        raise OutcomeUnknown("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(Positions, "claim", lost)
        with pytest.raises(OutcomeUnknown):
            made().messages_from_last_consumed(2)
    beside = made()._beside
    sessions, beside._sessions = beside._sessions, {}
    assert contents(made().messages_from_last_consumed(1)) == ["0"]  # as another process would
    beside._sessions = sessions
    assert contents(made().messages) == ["1", "2"]


def test_a_group_that_cannot_be_moved_is_an_error_and_nothing_is_lost(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as it can, what nobody was given comes, and what is new behind it."""
    made().add_messages(numbered(0, 2))

    def refused(*_: Any) -> None:
        raise StorageError("kafka: the user lacks a right on the group")

    with monkeypatch.context() as patch:
        patch.setattr(Positions, "commit", refused)
        for _ in range(2):
            with pytest.raises(StorageError, match="lacks a right"):
                _ = made().messages
    made().add_messages(numbered(2, 3))
    assert contents(made().messages) == numbers(0, 3)
    assert made().messages == []


async def test_the_async_forms_do_the_same(made: Made) -> None:
    """Adding, reading onward, from the beginning and from the end."""
    history = made()
    await history.aadd_messages(numbered(0, 3))
    assert contents(await history.aget_messages()) == numbers(0, 3)
    assert contents(await history.amessages_from_beginning(2)) == numbers(0, 2)
    assert await history.amessages_from_latest() == []
    await history.aadd_messages(numbered(3, 5))
    assert contents(await history.amessages_from_last_consumed(1)) == ["3"]
    assert contents(await history.aget_messages()) == ["4"]
    await history.aclear()
    assert await history.amessages_from_beginning() == []
    await history.aclose()


async def test_what_a_cancelled_read_has_taken_comes_next(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was waiting for it is gone."""
    history = made()
    await history.aadd_messages(numbered(0, 3))
    loop, entered, over = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    gone = threading.Event()
    take = Reading.take

    def slow(*arguments: Any) -> None:
        loop.call_soon_threadsafe(entered.set)
        gone.wait(10)
        take(*arguments)
        loop.call_soon_threadsafe(over.set)

    monkeypatch.setattr(Reading, "take", slow)
    read = asyncio.create_task(history.aget_messages())
    await entered.wait()
    read.cancel()
    with pytest.raises(asyncio.CancelledError):
        await read
    gone.set()
    await over.wait()
    monkeypatch.undo()
    assert contents(await made().amessages_from_last_consumed(2)) == numbers(0, 2)
    assert contents(await made().aget_messages()) == ["2"]
    assert await made().aget_messages() == []


def test_an_id_need_not_be_the_name_of_a_topic(made: Made, session_id: str) -> None:
    """Ids that differ stay apart, also where a topic's name would have to be cut, or is one of Kafka's own."""
    names = [f"{session_id} {end}" for end in ("/", "ü", "\0", "Ü", "x" * 479, "x" * 478, "%2F", ".", "_")]
    names += [".", "..", "__consumer_offsets", "backscroll_langchain_positions", f"backscroll_langchain-{session_id}"]
    for name in names:
        made(name).add_messages([HumanMessage(name), AIMessage(f"to {name}")])
    close_all()
    for name in names:
        assert contents(made(name).messages_from_beginning()) == [name, f"to {name}"]
        made(name).clear()
        assert made(name).messages == []


def test_a_topic_is_made_as_it_was_asked_for(made: Made, admin: Any, session_id: str) -> None:
    """With the time to live as its retention; the partitions that are asked for would only take the order."""
    made(ttl_ms=3_600_000, partition=7).add_messages(numbered(0, 1))
    topic = topic_of("backscroll_langchain-", session_id)
    (settings,) = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]).values()
    assert settings.result()["retention.ms"].value == "3600000"
    assert len(admin.list_topics(topic).topics[topic].partitions) == 1


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("max_message_count", lambda history: history.messages_from_beginning("3")),
        ("max_time_sec", lambda history: history.messages_from_beginning(3, "3")),
        ("flush_timeout_seconds", lambda history: history.add_messages(numbered(0, 1), "3")),
        ("messages", lambda history: history.add_messages(None)),
    ],
)
def test_an_argument_that_is_none_is_refused_by_its_name(name: str, use: Callable[[Any], None]) -> None:
    """No broker is asked."""
    with pytest.raises(InvalidArgument, match=f"^{name}: "):
        use(KafkaChatMessageHistory("s", "localhost:1"))


def test_the_topic_takes_the_largest_turn(made: Made, admin: Any, session_id: str) -> None:
    """Whatever the brokers take by default."""
    history = made()
    history.add_messages([HumanMessage("x" * (history.store.limits.max_turn_bytes - 1_000))])
    resource = ConfigResource(ConfigResource.Type.TOPIC, f"backscroll_langchain-{session_id}")
    (answer,) = admin.describe_configs([resource]).values()
    assert int(answer.result()["max.message.bytes"].value) > history.store.limits.max_turn_bytes == 64 << 20
    [message] = history.messages
    assert len(message.content) == (64 << 20) - 1_000


def test_a_message_is_read_for_its_time_to_live(made: Made) -> None:
    """Whatever other histories of the session say; others stay, and reading goes on behind it."""
    made(ttl_ms=-1).add_messages(numbered(0, 1))
    made(ttl_ms=1).add_messages(numbered(1, 2))
    made(ttl_ms=-1).add_messages(numbered(2, 3))
    deadline = time.monotonic() + 10
    while contents(made().messages_from_beginning()) != ["0", "2"]:
        assert time.monotonic() < deadline
    assert made().messages == []


def test_histories_of_the_same_cluster_share_one_store(made: Made, session_id: str) -> None:
    """Whatever their sessions."""
    histories = [made(f"{session_id} {number}") for number in range(1_000)]
    assert len({id(history.store) for history in histories}) == 1
    assert len({id(history._beside) for history in histories}) == 1


def test_a_broker_that_is_not_there_is_an_error_at_the_first_use() -> None:
    """Not before; nothing tells where it was looked for."""
    history = KafkaChatMessageHistory("s", "localhost:1")
    for call in (
        lambda: history.messages_from_beginning(5, 1.0),
        lambda: history.messages_from_latest(5, 1.0),
        lambda: history.messages_from_last_consumed(5, 1.0),
        lambda: history.add_messages(numbered(0, 1), 1.0),
    ):
        with pytest.raises(Unavailable) as caught:
            call()
        assert "localhost" not in str(caught.value)
    close_all()


def test_arguments_out_of_range_are_refused() -> None:
    """With their names; brokers that cannot be ones are not repeated."""
    for options in (
        {"ttl_ms": 0},
        {"ttl_ms": -2},
        {"replication_factor": 0},
        {"partition": 0},
        {"ttl_ms": "1"},
        {"ttl_ms": True},
    ):
        with pytest.raises(InvalidArgument, match=next(iter(options))):
            KafkaChatMessageHistory("s", "localhost", **options)  # type: ignore[arg-type]
    for servers in ("https://secret@host", "secret:x", 7, "", " ", "host/secret", "host?sasl_password=secret"):
        with pytest.raises(InvalidArgument) as caught:
            KafkaChatMessageHistory("s", servers)  # type: ignore[arg-type]
        assert "secret" not in str(caught.value)
    with pytest.raises(InvalidArgument):
        KafkaChatMessageHistory("", "localhost")
    with pytest.raises(InvalidArgument, match="max_message_count"):
        KafkaChatMessageHistory("s", "localhost").messages_from_beginning(-1)


# What the original wrote.


def test_what_the_original_wrote_is_read_before_ours(made: Made, released: Any) -> None:
    """In the order in which it was written, over all of its partitions."""
    write(released, 0, 12)
    made().add_messages(numbered(12, 14))
    assert contents(made().messages_from_beginning(5)) == numbers(0, 5)
    assert contents(made().messages_from_last_consumed(8)) == numbers(5, 13)
    assert contents(made().messages) == ["13"]
    assert made().messages == []
    assert made().read() == numbered(0, 14)
    write(released, 14, 15)  # by a process that was not started anew yet
    assert contents(made().messages) == ["14"]


def test_a_turn_that_the_original_spread_within_a_millisecond_is_a_conversation(
    made: Made, kafka_servers: str, session_id: str
) -> None:
    """Each request had a history of its own, as it has in a web server; and that puts its first turn anywhere."""
    expected: list[BaseMessage] = []
    for number in range(10):
        call: Any = {"name": "clock", "args": {}, "id": f"{number}", "type": "tool_call"}
        turn = [
            HumanMessage(f"what time is it? {number}"),
            AIMessage("", tool_calls=[call]),
            ToolMessage("noon", tool_call_id=f"{number}"),
            AIMessage("it is noon"),
        ]
        Released(session_id, kafka_servers).add_messages(turn)
        expected += turn
    assert made().messages == expected
    assert made().read() == expected


def test_reading_goes_on_where_the_original_left_off(made: Made, released: Any, admin: Any, session_id: str) -> None:
    """What its group has consumed does not come again, and its group stays where it is."""
    write(released, 0, 2)
    assert len(released.messages_from_beginning(2)) == 2
    left = offsets(admin, session_id)
    write(released, 2, 4)
    made().add_messages(numbered(4, 5))
    assert contents(made().messages_from_last_consumed(1)) == ["2"]
    close_all()
    assert contents(made().messages) == ["3", "4"]
    assert offsets(admin, session_id) == left
    assert contents(made().messages_from_beginning(None)) == numbers(0, 5)


def test_the_original_alone_is_read_and_the_position_kept(made: Made, released: Any) -> None:
    """Also where nothing was stored here yet; the end is behind it."""
    write(released, 0, 3)
    assert contents(made().messages) == numbers(0, 3)
    close_all()
    assert made().messages == []
    assert contents(made().messages_from_beginning(2)) == numbers(0, 2)
    assert made().messages_from_latest() == []
    close_all()
    assert made().messages == []


def test_clear_drops_what_the_original_wrote_too(made: Made, released: Any, admin: Any, session_id: str) -> None:
    """And nothing comes of a topic that the original makes again but what is new there."""
    write(released, 0, 12)
    made().add_messages(numbered(12, 13))
    assert contents(made().messages) == numbers(0, 13)
    made().clear()
    assert made().messages_from_beginning() == []
    assert made().read() == []
    deadline = time.monotonic() + 10
    while session_id in admin.list_topics().topics:
        assert time.monotonic() < deadline
    write(Released(session_id, made().bootstrap_servers), 20, 32)
    close_all()
    assert contents(made().messages) == numbers(20, 32)


def test_a_topic_of_another_program_is_left_alone(made: Made, kafka_servers: str, admin: Any, session_id: str) -> None:
    """Where a session has its name by chance, which is no error either."""
    other = Producer({"bootstrap.servers": kafka_servers})
    for value in (b"order 1", b'{"type": "order", "id": 2}', b'{"type": "human", "data": {}}'):
        other.produce(session_id, value)
        other.flush(10)
    made().add_messages(numbered(0, 1))
    assert contents(made().messages) == ["0"]
    made().clear()
    assert made().messages == []
    ends = [other.list_topics(session_id).topics[session_id]]
    assert ends[0].error is None
    assert session_id not in list(KafkaOriginal(kafka_servers).session_ids())


def test_a_record_of_the_original_that_is_damaged_is_told_with_its_place(
    made: Made, released: Any, kafka_servers: str, session_id: str
) -> None:
    """Those before it come first, nothing moves past it, and all others can be read."""
    write(released, 0, 2)
    other = Producer({"bootstrap.servers": kafka_servers})
    other.produce(session_id, b'{"type": "human", "da', partition=2)
    other.produce(session_id, None, partition=2)
    other.flush(10)
    write(released, 2, 3)
    made().add_messages(numbered(3, 4))
    assert contents(made().messages) == numbers(0, 2)
    for _ in range(2):
        with pytest.raises(UnreadableMessage, match=rf"topic '{session_id}', partition 2, offset \d+: .*not JSON"):
            _ = made().messages
    found = made().read()
    assert [each for each in found if not isinstance(each, UnreadableMessage)] == numbered(0, 4)
    assert len(found) == 5
    made().messages_from_latest()
    made().add_messages(numbered(4, 5))
    assert contents(made().messages) == ["4"]


def test_a_record_of_ours_that_is_damaged_is_told_with_its_place(made: Made, session_id: str) -> None:
    """Likewise."""
    made().add_messages(numbered(0, 2))
    backend: Any = made().store._backend
    seq = backend.append(session_id, Turn(uuid4(), b"\0" * 8, (b'{"v": 1, "mess',)), Deadline(10)).seqs[0]
    made().add_messages(numbered(2, 3))
    assert contents(made().messages) == numbers(0, 2)
    with pytest.raises(UnreadableMessage, match=f"the record at seq {seq} is unreadable"):
        _ = made().messages
    with pytest.raises(UnreadableMessage, match=f"the record at seq {seq} is unreadable"):
        str(made())
    assert [each for each in made().read() if not isinstance(each, UnreadableMessage)] == numbered(0, 3)


def test_kafkas_own_tools_set_the_position_in_the_originals_topic_back(
    made: Made, released: Any, admin: Any, session_id: str
) -> None:
    """There as well."""
    write(released, 0, 9)
    assert contents(made().messages) == numbers(0, 9)
    last = set()
    for partition, offset in offsets(admin, group_of(session_id))[session_id]:
        set_back(admin, group_of(session_id), session_id, offset - 1, partition)
        last.add(f"topic '{session_id}', partition {partition}, offset {offset - 1}")
    rows = [row for row in made()._beside.rows(session_id) if row.place in last]
    assert len(rows) == len(last)
    assert made().messages == messages_of(rows)
    assert made().messages == []


def test_what_was_moved_over_comes_once(made: Made, released: Any, kafka_servers: str, session_id: str) -> None:
    """What the original had read before it was moved does not come again; what it got after that, does."""
    write(released, 0, 2)
    assert len(released.messages_from_beginning(2)) == 2
    write(released, 2, 4)
    rows = KafkaOriginal(kafka_servers).rows(session_id)
    for message, row in zip(messages_of(rows), rows, strict=True):
        made().store.append(session_id, moved(from_langchain(message), row))
    made().add_messages(numbered(5, 6))
    write(released, 4, 5)
    assert contents(made().messages_from_last_consumed(1)) == ["2"]
    assert contents(made().messages) == numbers(3, 6)
    assert made().messages == []
    assert contents(made().messages_from_beginning(3)) == numbers(0, 3)
    assert contents(made().messages) == numbers(3, 6)
    assert made().read() == numbered(0, 6)


@pytest.mark.parametrize("most", [1, 2, None])
def test_what_was_not_moved_over_has_one_place(
    made: Made, released: Any, kafka_servers: str, session_id: str, most: int | None
) -> None:
    """Before, among and behind what was, in each way of reading, however many are asked for at once."""
    write(released, 0, 6)
    rows = KafkaOriginal(kafka_servers).rows(session_id)
    for number in (1, 3, 4):
        made().store.append(session_id, [moved(from_langchain(numbered(number, number + 1)[0]), rows[number])])
    made().add_messages(numbered(6, 8))
    assert made().read() == numbered(0, 8)
    found = made().messages_from_beginning(most)
    while more := made().messages_from_last_consumed(most):
        found += more
    assert found == numbered(0, 8)


def test_what_is_damaged_is_told_where_it_was_also_when_the_rest_was_moved(
    made: Made, kafka_servers: str, session_id: str
) -> None:
    """Those before it come first, and nothing moves past it."""
    producer = Producer({"bootstrap.servers": kafka_servers})
    texts = [json.dumps(message_to_dict(message)) for message in numbered(0, 3)]
    for text in (texts[0], "{torn", *texts[1:]):
        producer.produce(session_id, text, partition=0)
        producer.flush(10)
    rows = KafkaOriginal(kafka_servers).rows(session_id)
    for number, row in zip(range(3), (rows[0], *rows[2:]), strict=True):
        made().store.append(session_id, [moved(from_langchain(numbered(number, number + 1)[0]), row)])
    assert [getattr(each, "content", "torn") for each in made().read()] == ["0", "torn", "1", "2"]
    assert contents(made().messages) == ["0"]
    for _ in range(2):
        with pytest.raises(UnreadableMessage, match=r"offset 1: .*not JSON"):
            _ = made().messages
    made().messages_from_latest()
    assert made().messages == []


def test_a_topic_that_was_made_anew_has_other_records(
    made: Made, released: Any, kafka_servers: str, admin: Any, session_id: str
) -> None:
    """Where others were moved over, and read, from the same places, with the same bytes."""
    producer = Producer({"bootstrap.servers": kafka_servers})
    text = json.dumps(message_to_dict(HumanMessage("0")))
    producer.produce(session_id, text, partition=0)
    producer.flush(10)
    [row] = KafkaOriginal(kafka_servers).rows(session_id)
    made().store.append(session_id, [moved(from_langchain(HumanMessage("0")), row)])
    assert contents(made().messages) == ["0"]
    released.clear()
    deadline = time.monotonic() + 10
    while session_id in admin.list_topics().topics:
        assert time.monotonic() < deadline
    producer.produce(session_id, text, partition=0)
    producer.flush(10)
    close_all()
    assert contents(made().messages) == ["0"]
    assert contents(made().read()) == ["0", "0"]


def test_the_originals_sessions_are_found_among_all_topics(
    made: Made, released: Any, kafka_servers: str, session_id: str
) -> None:
    """By what they hold; ours are none of them."""
    write(released, 0, 1)
    made(f"{session_id}-ours").add_messages(numbered(0, 1))
    Released(f"{session_id}-empty", kafka_servers)
    of_our_name = f"backscroll_langchain-{session_id}"
    write(Released(of_our_name, kafka_servers), 0, 1)
    assert made(of_our_name).messages == []
    found = [name for name in KafkaOriginal(kafka_servers).session_ids() if session_id in name]
    assert found == [session_id]
