"""The positions of consumer groups on a real broker."""

import time
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka.admin import NewTopic

from backscroll.backend import Deadline
from backscroll.errors import DeadlineExceeded, Unavailable
from backscroll_conformance.containers import Server
from backscroll_kafka import COMMON
from backscroll_langchain.kafka_admin import Admin
from backscroll_langchain.kafka_groups import Committed, Groups


@pytest.fixture
def groups(kafka_servers: str) -> Groups:
    """Those of a broker."""
    return Groups(Admin({**COMMON, "bootstrap.servers": kafka_servers}))


def test_a_broker_that_answers_after_the_deadline_ends_no_process(groups: Groups, kafka_server: Server) -> None:
    """Neither where it was asked for a position nor where one was to be moved; the client knew other groups."""
    topic = uuid4().hex
    for _ in range(2):
        groups.commit(uuid4().hex, {(topic, 0): Committed(3, "")}, Deadline(30))
        with kafka_server.paused():
            begin = time.monotonic()
            with pytest.raises((DeadlineExceeded, Unavailable), match="no answer"):
                groups.committed(uuid4().hex, [(topic, 0)], Deadline(0.5))
            with pytest.raises(DeadlineExceeded, match=r"no answer within 0\.5 s"):
                groups.commit(uuid4().hex, {(topic, 0): Committed(3, "")}, Deadline(0.5))
            assert time.monotonic() - begin < 5
        for _ in range(3):
            assert groups.committed(uuid4().hex, [(topic, 0)], Deadline(30)) == {}
            groups.commit(uuid4().hex, {(topic, 0): Committed(3, "")}, Deadline(30))


def test_only_the_places_that_are_there_have_a_position(groups: Groups, admin: Any) -> None:
    """A topic that is gone is passed over."""
    group, topic = uuid4().hex, uuid4().hex
    admin.create_topics([NewTopic(topic, 2)])[topic].result(30)
    places = {(topic, 0): Committed(3, "note"), (uuid4().hex, 0): Committed(4, "")}
    groups.commit(group, places, Deadline(30))
    assert groups.committed(group, [(topic, 1), *places], Deadline(30)) == {(topic, 0): Committed(3, "note")}
    assert groups.committed(group, [], Deadline(30)) == {}
    admin.delete_topics([topic])[topic].result(30)


def test_a_client_serves_until_it_is_dropped(kafka_servers: str) -> None:
    """All who ask have the same one; after one has given it up, the next have another."""
    admin = Admin({**COMMON, "bootstrap.servers": kafka_servers})
    client = admin.get()
    assert admin.get() is client
    admin.drop(client)
    other = admin.get()
    assert other is not client
    admin.drop(client)
    assert admin.get() is other
