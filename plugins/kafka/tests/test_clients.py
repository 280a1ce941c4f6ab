"""What the clients of the driver do where it fails, is closed, or gives up. No broker runs here."""

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from backscroll.backend import Deadline
from backscroll.errors import (
    Closed,
    MessageTooLarge,
    OutcomeUnknown,
    StorageError,
    Unavailable,
)
from backscroll.futures import start
from backscroll_kafka.connections import Connections
from backscroll_kafka.options import KafkaOptions
from backscroll_kafka.refusals import refused

PLACE = "topic", 0

SIZES = [KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE]

REFUSALS = [
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.INVALID_REQUIRED_ACKS,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.TOPIC_EXCEPTION,
]


@pytest.fixture
def connections() -> Iterator[Connections]:
    """A way to a cluster that is not there."""
    connections = Connections({"bootstrap.servers": "localhost:1"}, KafkaOptions())
    connections.opened().result(10)
    yield connections
    connections.close()


@pytest.mark.parametrize("code", REFUSALS)
def test_a_report_that_refuses_a_record_leaves_its_outcome_unknown(code: int) -> None:
    """The driver's first send may have been written; what the brokers said of the last one is in the text."""
    told = refused(KafkaError(code), writes=True, limit=5)
    assert type(told) is OutcomeUnknown
    assert str(refused(KafkaError(code), writes=False, limit=5)) in str(told)
    assert isinstance(refused(KafkaError(code), writes=False, limit=5), StorageError)


@pytest.mark.parametrize("code", SIZES)
def test_a_record_that_is_too_large_is_surely_not_there(code: int) -> None:
    """No send of it can have been written."""
    assert isinstance(refused(KafkaError(code), writes=True, limit=5), MessageTooLarge)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BufferError(), Unavailable),
        (KafkaException(KafkaError(KafkaError._QUEUE_FULL)), Unavailable),
        (KafkaException(KafkaError(KafkaError._UNKNOWN_TOPIC)), Unavailable),
        (KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)), StorageError),
        (KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)), MessageTooLarge),
    ],
)
def test_what_the_driver_does_not_take_is_surely_not_there(
    connections: Connections, error: Exception, kind: type[Exception]
) -> None:
    """Nothing of it was sent."""
    writes = connections._producer

    def produce(*_: object, **__: object) -> None:
        raise error

    connections._producer = SimpleNamespace(produce=produce)
    future = connections.produce(PLACE, b"s", b"value", Deadline(5))
    assert isinstance(future.exception(5), kind)
    connections._producer = writes


def test_no_record_is_sure_that_was_under_way_when_another_one_failed(connections: Connections) -> None:
    """The driver may have written it twice."""
    writes, reports = connections._producer, []

    def produce(*_: object, on_delivery: Any, **__: object) -> None:
        reports.append(on_delivery)

    connections._producer = SimpleNamespace(produce=produce)
    written = SimpleNamespace(offset=lambda: 7)
    fails, under_way = (connections.produce(PLACE, b"s", b"value", Deadline(5)) for _ in range(2))
    reports[0](KafkaError(KafkaError._MSG_TIMED_OUT), None)
    later = connections.produce(PLACE, b"s", b"value", Deadline(5))
    for report in reports[1:]:
        report(None, written)
    assert isinstance(fails.exception(5), OutcomeUnknown)
    assert (under_way.result(5), later.result(5)) == ((7, False), (7, True))
    connections._producer = writes


def test_trouble_with_the_connection_is_final_only_before_the_brokers_let_it_in() -> None:
    """Whatever is reported after it; later it passes: a broker that starts anew may refuse for a moment."""
    connections = Connections({}, KafkaOptions())
    connections._note(KafkaError(KafkaError._AUTHENTICATION))
    connections._note(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    timed_out = KafkaException(KafkaError(KafkaError._TIMED_OUT))
    assert isinstance(connections._told(timed_out, writes=False), StorageError)
    connections._is_let_in = True
    assert isinstance(connections._told(timed_out, writes=False), Unavailable)


def test_after_the_end_nothing_is_written_and_no_pause_lasts(connections: Connections) -> None:
    """`Closed` says so at once."""
    connections.close()
    _until(lambda: connections._producer is None)
    assert isinstance(connections.produce(PLACE, b"s", b"value", Deadline(5)).exception(1), Closed)
    assert isinstance(start(connections.pause(0.01, Deadline(5))).exception(1), Closed)
    assert isinstance(start(connections.topics(Deadline(5))).exception(1), Closed)


class GivesUp:
    """A client of the driver that takes everything, reports nothing, and gives up when it is told so."""

    is_told = False

    def __init__(self, _: object) -> None:
        pass

    def produce(self, *_: object, **__: object) -> None:
        """Take a record."""

    def poll(self, seconds: float) -> None:
        """Report nothing."""
        time.sleep(seconds)
        if self.is_told:
            raise KafkaException(KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, "secret", fatal=True))

    flush = poll


def test_a_client_that_gives_up_leaves_what_is_under_way_unknown_and_is_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With its reason, at once; pauses end meanwhile, and the client that asks stays as it is."""
    monkeypatch.setattr("backscroll_kafka.connections.Producer", GivesUp)
    connections = Connections({"bootstrap.servers": "localhost:1"}, KafkaOptions())
    connections.opened().result(10)
    admin, old = connections._admin, connections._producer
    future = connections.produce(PLACE, b"s", b"value", Deadline(20))
    monkeypatch.setattr(GivesUp, "is_told", True)
    error = future.exception(2)
    assert isinstance(error, OutcomeUnknown)
    assert "lacks a right" in str(error)
    assert "secret" not in str(error)
    _until(lambda: connections._producer is None)
    assert isinstance(connections.produce(PLACE, b"s", b"value", Deadline(5)).exception(1), Unavailable)
    assert start(connections.pause(0.01, Deadline(5))).exception(5) is None
    monkeypatch.setattr(GivesUp, "is_told", False)
    connections.opened().result(10)
    new = connections._producer
    connections._begin_anew(old)  # as a call that met the old one does late
    assert (connections.is_open, connections._producer is new, connections._admin is admin) == (True, True, True)
    assert start(connections.pause(0.01, Deadline(5))).exception(5) is None
    connections.close()


def _until(so: Any) -> None:
    end = time.monotonic() + 10
    while not so():
        assert time.monotonic() < end
        time.sleep(0.01)
