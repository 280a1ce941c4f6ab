"""What an error says about what was done."""

from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from backscroll.errors import (
    BackscrollError,
    MessageTooLarge,
    OutcomeUnknown,
    SchemaError,
    StorageError,
    Unavailable,
)
from backscroll_kafka.layout import OVERHEAD

MISSING: Final = "the topic {topic} is missing: call setup(), or run: backscroll setup"
"""What is told of a topic that is not there."""


class OverTopic(MessageTooLarge):
    """A turn that this store lets pass is larger than the brokers take."""

    def __str__(self) -> str:
        return (
            f"too large for max.message.bytes of the topic, though within max_turn_bytes={self.limit:,} here: raise "
            f"the former to {self.limit + OVERHEAD}, or send less at a time"
        )


class NoTopic(SchemaError):
    """The topic is not there."""


_NO_TOPIC: Final = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001  # the driver's own codes begin so
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001  # likewise
    KafkaError._NOENT,  # noqa: SLF001  # likewise
}
"""What says that there is no such topic, or that a broker does not know it yet."""

OTHER_LEADER: Final = {
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.KAFKA_STORAGE_ERROR,
}
"""What brokers say to a client that takes another one for the leader."""

_TOO_LARGE: Final = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}

_FORBIDDEN: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "the topic: READ, WRITE and DESCRIBE, and CREATE for setup",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "the topic or the cluster: WRITE to append, CREATE for setup",
}

_NOT_LET_IN: Final = {
    KafkaError._AUTHENTICATION,  # noqa: SLF001  # likewise
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
}

_NO_WAY: Final = {
    KafkaError._TIMED_OUT,  # noqa: SLF001  # likewise
    KafkaError._TRANSPORT,  # noqa: SLF001  # likewise
    KafkaError._RESOLVE,  # noqa: SLF001  # likewise
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001  # likewise
}
"""What the driver says where nothing, or something else, answers at the address."""

_OF_SETTINGS: Final = {
    KafkaError.INVALID_REPLICATION_FACTOR: "the cluster has too few brokers: give a smaller replication",
    KafkaError.INVALID_PARTITIONS: "the number of partitions is refused",
    KafkaError.INVALID_CONFIG: "a setting of the topic is refused",
    KafkaError.POLICY_VIOLATION: "the cluster's policy refuses the topic",
    KafkaError.TOPIC_EXCEPTION: "the name of the topic is refused: is there one that differs in '.' and '_' only?",
    KafkaError.INVALID_REQUIRED_ACKS: "the setting acks is refused",
}

_ALERT: Final = "SSL alert"
"""What the driver's text holds where the other side refuses a TLS connection."""


def error_of(error: Any) -> KafkaError | None:
    """The driver's own error, where it is one."""
    if isinstance(error, KafkaException):
        error = error.args[0] if error.args else None
    return error if isinstance(error, KafkaError) else None


def is_missing(error: Any) -> bool:
    """Whether an error says that the topic is not there, or not known yet."""
    found = error_of(error)
    return found is not None and found.code() in _NO_TOPIC


def refused(error: BaseException | KafkaError, *, writes: bool, limit: int) -> BaseException:
    """What an error means for its request. Its text is not repeated: it names addresses.

    Args:
        error: The driver's.
        writes: Whether the request may have changed something: the driver repeats what it sends, and an error only
            tells of the last time. No size is ever taken.
        limit: The most bytes of a turn, by the options.
    """
    if isinstance(error, BackscrollError):
        return error
    told = _refused(error, limit)
    if writes and isinstance(told, Unavailable | StorageError):
        return OutcomeUnknown(str(told))
    return told


def _refused(error: BaseException | KafkaError, limit: int) -> BaseException:
    found = error_of(error)
    if found is None:
        return error if isinstance(error, BaseException) else StorageError("kafka: an error of the driver's")
    code, name = found.code(), found.name()
    if code in _TOO_LARGE:
        return OverTopic("max_turn_bytes", limit)
    if code in _FORBIDDEN:
        return StorageError(f"kafka: the user lacks a right on {_FORBIDDEN[code]}: grant it")
    if code in _OF_SETTINGS:
        return StorageError(f"kafka: {_OF_SETTINGS[code]} ({name})")
    if code in _NOT_LET_IN:
        return StorageError("kafka: it does not accept user and password, or wants them: kafka://user:…@host")
    if code in _NO_TOPIC:
        return Unavailable(f"kafka: the brokers do not know of the topic, or not yet ({name})")
    # With TLS 1.3 a broker refuses after the handshake, so that the driver takes it for a lost connection.
    if code == KafkaError._SSL or _ALERT in found.str():  # noqa: SLF001  # likewise
        return StorageError(
            "kafka: no TLS with the broker: is ssl.ca.location right, does it speak TLS there, and does it ask for a "
            "certificate (ssl.certificate.location)?"
        )
    step = ": are they running, and are hosts, ports and security.protocol right?" if code in _NO_WAY else ""
    return Unavailable(f"kafka: no answer from the brokers ({name}){step}")
