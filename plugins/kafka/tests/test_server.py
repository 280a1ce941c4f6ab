"""What only Kafka does, or can have done to it."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import attrs
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic
from conftest import KAFKA
from told import message, texts, until

import backscroll
from backscroll import Store
from backscroll.backend import Deadline
from backscroll.errors import (
    InvalidOption,
    InvalidURL,
    MessageTooLarge,
    OutcomeUnknown,
    SchemaError,
    StorageError,
    Unavailable,
    VersionConflict,
)
from backscroll_conformance.servers import running
from backscroll_kafka.layout import bound_value, topic_of, turn_value

Opened = Callable[..., Store]


def make(admin: Any, topic: str, partitions: int = 2, **settings: str) -> None:
    """Make a topic as an administrator, with room for turns and without retention unless it is told otherwise."""
    given = {"retention_ms": "-1", "max_message_bytes": "6000000", **settings}
    named = {name.replace("_", "."): value for name, value in given.items()}
    admin.create_topics([NewTopic(topic, partitions, 1, config=named)])[topic].result()


def places(topic: str, partitions: int = 2) -> list[TopicPartition]:
    """The partitions of a topic."""
    return [TopicPartition(topic, number) for number in range(partitions)]


def write(producer: Any, topic: str, key: bytes | None, value: bytes | None, partition: int = 0) -> None:
    """Write a record as another program does."""
    producer.produce(topic, value, key, partition=partition)
    assert producer.flush(30) == 0


def spot(store: Store, session_id: str) -> tuple[Any, Any]:
    """The backend of a store, and the place of a session in it."""
    backend: Any = store._backend
    [topic] = backend._topics._known.values()
    name = backend._topics._name
    from confluent_kafka import murmur2

    return backend, (name, murmur2(session_id.encode(), topic.partitions))


def test_a_timed_out_turn_that_lands_after_its_repeat_counts_once() -> None:
    """A broker that stands still takes it, and another client repeats it as soon as the broker goes on."""
    with running(KAFKA) as server, backscroll.open(server.url) as one, backscroll.open(server.url) as other:
        for number in range(5):
            session_id = f"frozen {number}"
            for store in (one, other):
                store.append(session_id, message("before"))
            turn = attrs.evolve(_turn(one, "own"), age=0.0)
            with server.paused(), pytest.raises(OutcomeUnknown):
                one._backend.append(session_id, turn, Deadline(1))
            answer = other.append(session_id, message("own"), turn_id=turn.turn_id)
            other.append(session_id, message("after"))
            again = one.append(session_id, message("own"), turn_id=turn.turn_id)
            assert (again.seqs, again.duplicate) == (answer.seqs, True)
            for store in (one, other):
                assert texts(store, session_id) == ["before", "before", "own", "after"]


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
    """With why; also where the store does not say how many there have to be."""
    opened().append("s", message("a"))
    admin.create_partitions([NewPartitions(topic, 4)])[topic].result()
    until(lambda: len(admin.list_topics(topic).topics[topic].partitions) == 4)
    for call in (lambda: opened("").append("s", message("b")), lambda: opened("").last("s")):
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


def test_records_of_a_later_release_are_an_error(producer: Any, admin: Any, topic: str, opened: Opened) -> None:
    """They are not left out in silence."""
    make(admin, topic)
    value = bytearray(bound_value(2, 1, 0, 2))
    value[2] = 9
    for partition in (0, 1):
        write(producer, topic, b"s", bytes(value), partition)
    with pytest.raises(SchemaError, match=r"version 9.*install a newer backscroll-kafka"):
        opened().last("s")


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
    turn = _turn(store, "own")
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
    turn = attrs.evolve(_turn(store, "own"), expected_version=version)
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


def test_a_conditional_turn_that_another_one_overtakes_conflicts(
    producer: Any, topic: str, opened: Opened, session_id: str
) -> None:
    """Between the look and the produce; the record lies in the log and counts for nobody."""
    store = opened("partitions=1")
    backend: Any = store._backend
    version = store.append(session_id, message("before")).version
    produce, rival = backend._connections.produce, _turn(store, "rival")

    def overtaken(place: Any, key: bytes, value: bytes, deadline: Any) -> Any:
        write(producer, topic, key, turn_value(rival, 1, 1))
        return produce(place, key, value, deadline)

    backend._connections.produce = overtaken
    with pytest.raises(VersionConflict) as caught:
        store.append(session_id, message("own"), expected_version=version)
    assert caught.value.current == store.version(session_id) > version
    for each in (store, opened("partitions=1")):
        assert texts(each, session_id) == ["before", "rival"]


def _turn(store: Store, text: str) -> Any:
    turn: Any = store._encoded(message(text), uuid4(), None, None, None)
    return turn


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


def test_what_is_over_a_limit_of_the_topic_is_told_with_the_setting(
    admin: Any, topic: str, opened: Opened, session_id: str
) -> None:
    """By the broker, by the client, and by `ping` beforehand; nothing is stored."""
    make(admin, topic, max_message_bytes="50000")
    noise = "".join(uuid4().hex for _ in range(5_000))
    store = opened(setup="never")
    [problem] = store.ping().problems
    assert "max.message.bytes of the topic is 50,000, below max_turn_bytes=4,194,304" in problem
    with pytest.raises(MessageTooLarge, match="max_turn_bytes=4,194,304"):
        store.append(session_id, message(noise))
    tight = opened(setup="never", max_turn_bytes=40_000)
    assert tight.ping().problems == ()
    with pytest.raises(MessageTooLarge, match="max_turn_bytes=40,000"):
        tight.append(session_id, message(noise))
    with pytest.raises(MessageTooLarge, match="max_turn_bytes"):
        tight._backend.append(session_id, attrs.evolve(_turn(store, "x"), bodies=(b"x" * 2_000_000,)), Deadline(10))
    assert store.version(session_id) == 0
    assert tight.append(session_id, message("fits")).version


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
    """By the deadline, and that nothing was sent."""
    with backscroll.open("kafka://localhost:1/topic", timeout=1.0) as store:
        for call in (lambda: store.last(session_id), lambda: store.append(session_id, message("a")), store.ping):
            with pytest.raises(Unavailable):
                call()


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
    with pytest.raises(InvalidOption, match="such as 30d"):
        backscroll.open("kafka://localhost/topic?retention=soon")


def test_user_and_password_are_shown_by_sasl() -> None:
    """From the URL or as options; a wrong one is told at once, and not repeated."""
    users = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_app="let-me-in";'
    environment = {
        "KAFKA_LISTENERS": "SASL://0.0.0.0:{port},PLAINTEXT://0.0.0.0:9094,CONTROLLER://0.0.0.0:9093",
        "KAFKA_ADVERTISED_LISTENERS": "SASL://localhost:{port},PLAINTEXT://localhost:9094",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT",
        "KAFKA_SASL_ENABLED_MECHANISMS": "PLAIN",
        "KAFKA_LISTENER_NAME_SASL_PLAIN_SASL_JAAS_CONFIG": users,
    }
    url = "kafka://app:let-me-in@localhost:{port}/chat?security.protocol=SASL_PLAINTEXT"
    with running(attrs.evolve(KAFKA, environment=environment, url=url)) as server:
        with backscroll.open(server.url) as store:
            store.append("s", message("a"))
            assert texts(store, "s") == ["a"]
        plain = server.url.replace("app:let-me-in@", "")
        given: dict[str, Any] = {"sasl.username": "app", "sasl.password": "let-me-in"}
        with backscroll.open(plain, **given) as store:
            assert texts(store, "s") == ["a"]
        with backscroll.open(plain, sasl_username="app", sasl_password="canary") as store:
            with pytest.raises(StorageError, match="does not accept user and password") as caught:
                store.last("s")
            assert "canary" not in f"{caught.value!r} {store!r} {store._backend.options!r}"
