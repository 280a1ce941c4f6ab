"""The positions of consumer groups, in the two ways that do not end the whole process.

librdkafka (seen in 2.13 and 2.16) does so for an administrator's client

* that asks where a group is, when the broker answers that it does not coordinate the group, as a new one does, or one
  that does so no more (`rd_kafka_handle_OffsetFetch` takes it that there is a consumer). So a consumer asks, one that
  belongs to the group in name only, and is gone after it: a millisecond;
* whose request times out before it was found out who coordinates the group, when that broker shows up later
  (`rd_kafka_admin_coord_response_parse` uses what was freed). So no request times out there: whoever waits gives up
  by itself, and the client with it, which ends the request.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

from backscroll.backend import Deadline
from backscroll.errors import StorageError
from backscroll_kafka import is_missing, refused
from backscroll_langchain.kafka_admin import Admin, insist
from backscroll_langchain.kafka_deadlines import late, left

NEVER: Final = 3_600.0
"""After how many seconds a request times out in the driver: the most that it takes."""

LONGEST_TRY: Final = NEVER / 2
"""After how many seconds a request is given up in any case, however long the call may take."""

_REFUSED: Final = {
    KafkaError.GROUP_AUTHORIZATION_FAILED: "the user lacks the right READ on the groups: grant it",
    KafkaError.UNKNOWN_MEMBER_ID: "a consumer has joined the group: let it leave",
    KafkaError.NON_EMPTY_GROUP: "a consumer has joined the group: let it leave",
    KafkaError.REBALANCE_IN_PROGRESS: "a consumer has joined the group: let it leave",
    KafkaError.INVALID_COMMIT_OFFSET_SIZE: "what has to be noted with the position is too long for the brokers",
}
"""Why the position of a group cannot be told or moved, with what to do."""

Place = tuple[str, int]
"""A topic and one of its partitions."""


class Committed(NamedTuple):
    """Where a consumer group is in a partition, and what it noted there."""

    offset: int
    note: str


class Groups:
    """Any thread may ask for any number of groups.

    Args:
        admin: The client that moves them.
    """

    def __init__(self, admin: Admin) -> None:
        self._admin: Final = admin

    def committed(self, group: str, places: Iterable[Place], deadline: Deadline) -> dict[Place, Committed]:
        """Where a consumer group is, in those of the places where it is anywhere.

        Raises:
            StorageError: The brokers refuse.
        """
        asked = [TopicPartition(*place) for place in places]
        settings = {**self._admin.settings, "group.id": group, "enable.auto.commit": False}

        def ask() -> Any:
            consumer = Consumer(settings)
            try:
                return consumer.committed(asked, left(deadline))
            finally:
                consumer.close()

        told = insist(ask, _meant, deadline) if asked else []
        for each in told:
            _check(each)
        return {(each.topic, each.partition): Committed(each.offset, each.metadata or "") for each in told
                if each.offset >= 0}  # fmt: skip

    def commit(self, group: str, positions: Mapping[Place, Committed], deadline: Deadline) -> None:
        """Move a consumer group; partitions that are gone are passed over.

        Raises:
            StorageError: The brokers refuse, such as where somebody consumes as this group.
        """
        places = [TopicPartition(*place, offset, note) for place, (offset, note) in positions.items()]
        wanted = [ConsumerGroupTopicPartitions(group, places)]

        for each in insist(lambda: self._moved(group, wanted, deadline), _meant, deadline).topic_partitions:
            _check(each)

    def _moved(self, group: str, wanted: list[Any], deadline: Deadline) -> Any:
        client = self._admin.get()
        try:
            asked = client.alter_consumer_group_offsets(wanted, request_timeout=NEVER)[group]
            return asked.result(min(left(deadline), LONGEST_TRY))
        except TimeoutError:
            self._admin.drop(client)
            raise late(deadline) from None
        finally:
            del client  # the traceback would hold it


def _check(place: Any) -> None:
    if place.error is not None and not is_missing(place.error):
        raise _told(place.error)


def _meant(error: KafkaException) -> BaseException:
    return _told(error.args[0])


def _told(error: Any) -> BaseException:
    if error.code() in _REFUSED:
        return StorageError(f"kafka: {_REFUSED[error.code()]} ({error.name()})")
    return refused(error, writes=False, limit=0)
