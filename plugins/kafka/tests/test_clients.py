"""What the clients of the driver do where it fails, is closed, or gives up. No broker runs here."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException

from backscroll.backend import Deadline
from backscroll.errors import (
    MessageTooLarge,
    OutcomeUnknown,
    StorageError,
    Unavailable,
)
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
