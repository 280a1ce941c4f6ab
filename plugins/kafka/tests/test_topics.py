"""Which topics are made, and which are refused."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import attrs
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions
from told import make, message, texts, turn_of, until, write

import backscroll
from backscroll import Store
from backscroll.backend import Deadline
from backscroll.errors import (
    MessageTooLarge,
    SchemaError,
)
from backscroll_kafka.layout import bound_value, topic_of
from backscroll_kafka.readers import Gone

Opened = Callable[..., Store]


def test_a_topic_that_two_processes_make_at_once_is_made_once(port: int, topic: str, opened: Opened) -> None:
    """Both append."""
    code = (
        "import backscroll, sys\n"
        "with backscroll.open(sys.argv[1]) as store:\n"
        "    store.append('made', {'role': 'user', 'content': sys.argv[2]})\n"
    )
    url = f"kafka://localhost:{port}/{topic}?partitions=3"
    started = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", code, url, name], stderr=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    errors = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], errors
    assert sorted(texts(opened("partitions=3"), "made")) == ["a", "b"]


def test_another_number_of_partitions_is_refused(admin: Any, topic: str, opened: Opened) -> None:
    """With the number that there is."""
    make(admin, topic, 3)
    store = opened("partitions=2")
    for call in (store.setup, store.ping, lambda: store.append("s", message("a")), lambda: store.last("s")):
        with pytest.raises(SchemaError, match="open it with partitions=3"):
            call()
    assert opened("").append("s", message("a")).version


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_a_topic_that_is_compacted_is_refused(admin: Any, topic: str, opened: Opened, policy: str) -> None:
    """With what to change."""
    make(admin, topic, cleanup_policy=policy)
    store = opened()
    for call in (store.setup, lambda: store.append("s", message("a")), lambda: store.last("s")):
        with pytest.raises(SchemaError, match=r"set cleanup\.policy=delete"):
            call()


def test_partitions_that_are_added_later_are_refused(admin: Any, topic: str, opened: Opened) -> None:
    """With why; also where the store does not say how many there have to be, or was open before."""
    store = opened()
    store.append("s", message("a"))
    admin.create_partitions([NewPartitions(topic, 4)])[topic].result()
    until(lambda: len(admin.list_topics(topic).topics[topic].partitions) == 4)
    for call in (lambda: opened("").append("s", message("b")), lambda: opened("").last("s"), opened("").ping):
        with pytest.raises(SchemaError, match="had 2 partitions when messages were written, and has 4"):
            call()
    backend: Any = store._backend
    backend._topics.doubt(topic)  # as it does by itself after half a minute
    for call in (lambda: store.append("s", message("b")), lambda: store.last("s")):
        with pytest.raises(SchemaError, match="had 2 partitions when messages were written, and has 4"):
            call()


def test_a_topic_that_is_made_again_is_refused(admin: Any, topic: str, opened: Opened, session_id: str) -> None:
    """By a store that knew it before, whatever it does; a new one finds it empty."""
    stores = [opened() for _ in range(4)]
    for store in stores:
        for number in range(5):
            store.append(session_id, message(number))
    for store in stores[:2]:
        store.last(session_id)
    admin.delete_topics([topic])[topic].result()
    until(lambda: topic not in admin.list_topics().topics)
    make(admin, topic)
    until(lambda: topic in admin.list_topics().topics)
    calls: list[Callable[[Store], object]] = [
        lambda store: store.last(session_id),
        lambda store: store.append(session_id, message("late"), turn_id="own"),
        lambda store: store.append(session_id, message("late")),
        lambda store: store.clear(session_id),
    ]
    for store, call in zip(stores, calls, strict=True):
        for _ in range(2):
            with pytest.raises(SchemaError, match="deleted and made again"):
                call(store)
    anew = opened()
    assert texts(anew, session_id) == []
    anew.append(session_id, message("anew"))
    assert texts(anew, session_id) == ["anew"]


def test_what_is_over_a_limit_of_the_topic_is_told_with_the_setting(
    admin: Any, topic: str, opened: Opened, session_id: str
) -> None:
    """By the broker, by the client, and by `ping` beforehand; nothing is stored."""
    make(admin, topic, max_message_bytes="50000")
    noise = "".join(uuid4().hex for _ in range(5_000))
    store = opened(setup="never")
    [problem] = store.ping().problems
    assert "max.message.bytes of the topic is 50,000, below max_turn_bytes=4,194,304" in problem
    with pytest.raises(MessageTooLarge, match=r"max\.message\.bytes of the topic.*max_turn_bytes=4,194,304"):
        store.append(session_id, message(noise))
    tight = opened(setup="never", max_turn_bytes=40_000)
    assert tight.ping().problems == ()
    with pytest.raises(MessageTooLarge, match="max_turn_bytes=40,000"):
        tight.append(session_id, message(noise))
    with pytest.raises(MessageTooLarge, match="max_turn_bytes"):
        tight._backend.append(session_id, attrs.evolve(turn_of(store, "x"), bodies=(b"x" * 2_000_000,)), Deadline(10))
    assert store.version(session_id) == 0
    assert tight.append(session_id, message("fits")).version


def test_turns_that_each_fit_do_not_become_too_large_together(admin: Any, topic: str, opened: Opened) -> None:
    """However many are on their way at once."""
    make(admin, topic, partitions=1, max_message_bytes="70000")
    store = opened("partitions=1", max_turn_bytes=60_000)
    contents = [os.urandom(12_500).hex() for _ in range(60)]
    with ThreadPoolExecutor(30) as pool:
        for _ in pool.map(lambda content: store.append("all", message(content)), contents):
            pass
    assert sorted(texts(store, "all")) == sorted(contents)


def test_retention_that_nobody_asked_for_is_told(admin: Any, topic: str, opened: Opened) -> None:
    """Kafka's own default drops history after a week."""
    make(admin, topic, retention_ms="604800000")
    [problem] = opened(setup="never").ping().problems
    assert "drops what is older than 7 days" in problem
    assert opened("retention=7d&setup=never").ping().problems == ()


def test_a_topic_is_made_as_it_is_told(admin: Any, topic: str, opened: Opened) -> None:
    """With retention, partitions and room for the largest turn."""
    opened("partitions=5&retention=30d&max_turn_bytes=2000000").setup()
    [settings] = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]).values()
    found = {name: entry.value for name, entry in settings.result().items()}
    assert found["retention.ms"] == str(30 * 86_400_000)
    assert found["cleanup.policy"] == "delete"
    assert int(found["max.message.bytes"]) >= 2_000_000
    assert len(admin.list_topics(topic).topics[topic].partitions) == 5


def test_settings_that_change_later_are_told_by_ping(admin: Any, topic: str, opened: Opened) -> None:
    """It looks each time."""
    store = opened()
    assert store.setup().problems == ()
    entry = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    [changed] = admin.incremental_alter_configs([resource]).values()
    changed.result()
    with pytest.raises(SchemaError, match=r"set cleanup\.policy=delete"):
        store.ping()


def test_the_topic_is_left_to_others_where_it_is_told_so(topic: str, opened: Opened) -> None:
    """Reads find nothing, appending says what to do, and `ping` too."""
    store = opened(setup="never")
    assert (store.last("s"), store.version("s"), store.sessions().session_ids) == ([], 0, ())
    with pytest.raises(SchemaError, match=f"topic {topic} is missing: call setup"):
        store.append("s", message("a"))
    [problem] = store.ping().problems
    assert "is missing" in problem
    store.setup()
    assert store.append("s", message("a")).version


def test_each_session_may_have_a_topic_of_its_own(admin: Any, topic: str, opened: Opened) -> None:
    """Whatever its id holds; the topics are as they are told, and the sessions are listed."""
    query = "layout=topic&partitions=1&retention=7d"
    names = ["plain-1", "a.b", "a_b", "A/ö 🙂", "x" * 500, " ", "_61", "a"]
    store = opened(query)
    for name in names:
        answer = store.append(name, [message("a"), message(name)], turn_id="own")
        assert store.append(name, [message("a"), message(name)], turn_id="own").seqs == answer.seqs
    for each in (store, opened(query)):
        for name in names:
            assert texts(each, name) == ["a", name]
        page = each.sessions(limit=5)
        assert [*page, *each.sessions(cursor=page.cursor)] == sorted(names, key=str.encode)
    assert opened(query).last("never appended to") == []
    store.delete("a.b")
    assert "a.b" not in opened(query).sessions().session_ids
    assert store.append("a.b", message("anew")).seqs[0] > 1
    found = [name for name in admin.list_topics().topics if name.startswith(topic)]
    assert sorted(found) == sorted(topic_of(f"{topic}-", name) for name in names)


def test_topics_of_other_programs_are_passed_over_where_each_session_has_one(
    port: int, admin: Any, producer: Any, topic: str
) -> None:
    """Compacted ones, one that the brokers made, one whose name might be a hash, and a later release's."""
    names = [f"compacted-{topic}", topic_of("", "x" * 500), topic_of("", "y" * 500), f"later-{topic}"]
    with backscroll.open(f"kafka://localhost:{port}/?layout=topic") as store:
        try:
            make(admin, names[0], 1, cleanup_policy="compact")
            make(admin, names[1], 1)
            until(lambda: set(names[:2]) <= admin.list_topics().topics.keys())
            for key in (b"\xff", b"another"):
                write(producer, names[1], key, bound_value(2, 1, 0, 1))
            make(admin, names[3], 1)
            later = bytearray(bound_value(2, 1, 0, 1))
            later[2] = 9
            for value in (bytes(later), *[b"foreign"] * 9):
                write(producer, names[3], names[3].encode(), value)
            store.append("y" * 500, message("a"))
            store.append(topic, message("a"))
            listed = [
                name
                for name in store.sessions(limit=1_000)
                if name in {topic, "y" * 500, "another", names[0], names[3]}
            ]
            assert listed == sorted([topic, "y" * 500])
        finally:
            for each in admin.delete_topics([*names, topic]).values():
                each.exception()


def test_a_session_that_retention_took_is_listed_no_more(admin: Any, topic: str, opened: Opened) -> None:
    """Nor by a store that was open before, as soon as it asks where the log begins."""
    store = opened("partitions=1")
    store.append("a", message("a"))
    last = store.append("b", message("a"))
    assert store.sessions().session_ids == ("a", "b")
    [deleted] = admin.delete_records([TopicPartition(topic, 0, last.seqs[0] >> 16)]).values()
    deleted.result()
    until(lambda: store.sessions().session_ids == ("b",))
    assert (store.version("a"), store.version("b")) == (0, last.version)


def test_retention_that_cuts_into_a_scan_breaks_no_list(topic: str, opened: Opened) -> None:
    """It is scanned again, also where the index would take too much."""
    store = opened("partitions=1")
    backend: Any = store._backend
    store.append("a", message("a"))
    backend._views._index_bytes = 1
    store.last("a")
    store.last("a")
    scan, cuts = backend._logs.scan, [Gone(), Gone()]

    async def cut(*each: Any) -> None:
        if cuts:
            raise cuts.pop()
        await scan(*each)

    backend._logs.scan = cut
    assert backend._views.is_full
    assert store.sessions().session_ids == ("a",)
    assert cuts == []
