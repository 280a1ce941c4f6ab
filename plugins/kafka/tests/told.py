"""What the tests append, and what they find."""

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic

from backscroll import Store

PATIENCE = 60.0
"""How many seconds a test waits at the most for what has to come."""


def message(text: object) -> dict[str, str]:
    """A message."""
    return {"role": "user", "content": str(text)}


def texts(store: Store, session_id: str) -> list[Any]:
    """The texts of a session."""
    return [record.message.content for record in store.iterate(session_id)]


def until(so: Callable[[], object]) -> None:
    """Wait for something."""
    end = time.monotonic() + PATIENCE
    while not so():
        assert time.monotonic() < end, f"waited {PATIENCE:g} s in vain"
        time.sleep(0.01)


def turn_of(store: Store, text: str) -> Any:
    """A turn as the store hands it to its backend, of which nobody knows whether it was sent before."""
    turn: Any = store._encoded(message(text), uuid4(), None, None, None)
    return turn


def make(admin: Any, topic: str, partitions: int = 2, replicas: int = 1, **settings: str) -> None:
    """Make a topic as an administrator, with room for turns and without retention unless it is told otherwise."""
    given = {"retention_ms": "-1", "max_message_bytes": "6000000", **settings}
    named = {name.replace("_", "."): value for name, value in given.items()}
    admin.create_topics([NewTopic(topic, partitions, replicas, config=named)])[topic].result()


def places(topic: str, partitions: int = 2) -> list[TopicPartition]:
    """The partitions of a topic."""
    return [TopicPartition(topic, number) for number in range(partitions)]


def write(producer: Any, topic: str, key: bytes | None, value: bytes | None, partition: int = 0) -> None:
    """Write a record as another program does."""
    producer.produce(topic, value, key, partition=partition)
    assert producer.flush(30) == 0
