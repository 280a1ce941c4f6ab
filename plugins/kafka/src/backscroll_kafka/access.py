"""What a store's URL and its options say of the way to the cluster, in the terms of librdkafka."""

import logging
from typing import Any, Final

from backscroll.backend import URL
from backscroll.errors import InvalidOption, InvalidURL
from backscroll_kafka.layout import OVERHEAD
from backscroll_kafka.options import KafkaOptions, topic

PORT: Final = 9092
"""The port of a broker where the URL gives none."""

_PASSED_ON: Final = (
    "ssl_ca_location",
    "ssl_certificate_location",
    "ssl_key_location",
    "ssl_key_password",
    "ssl_endpoint_identification_algorithm",
    "enable_ssl_certificate_verification",
    "client_id",
)
"""The options that are librdkafka's own."""

_OF_TLS: Final = _PASSED_ON[:-1]

BATCH: Final = 65_536
"""Up to how many bytes the driver sends as one batch: a broker refuses all of a batch above the topic's limit."""

# What the driver says of its own accord goes nowhere: it may repeat addresses and users, and a call tells what matters.
_SILENT: Final = logging.getLogger("backscroll_kafka.driver")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def _passed_over(_: Any) -> None:
    """Connections fail and are made again by themselves; a call that fails is told by itself."""


COMMON: Final = {
    "log_level": 0,
    "logger": _SILENT,
    "error_cb": _passed_over,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 1_000,
    "socket.timeout.ms": 10_000,
    "socket.keepalive.enable": True,
    "topic.metadata.refresh.sparse": True,
    "allow.auto.create.topics": False,
}
"""What all clients have in common."""

_READING: Final = {
    "group.id": "backscroll",  # the driver wants one; nobody joins it
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "fetch.queue.backoff.ms": 0,
    "fetch.error.backoff.ms": 50,
    "queued.max.messages.kbytes": 16_384,
}

TAIL: Final = {**COMMON, **_READING}
"""The settings of the client that hears what is new."""

SCAN: Final = {**COMMON, **_READING, "fetch.wait.max.ms": 10, "queued.max.messages.kbytes": 2_048}
"""The settings of the client that goes through stretches of the log."""

PICK: Final = {
    **COMMON,
    **_READING,
    "fetch.wait.max.ms": 5,
    "queued.min.messages": 1,
    "fetch.message.max.bytes": 8_192,
}
"""The settings of the client that fetches single records: little more than these comes along."""


def topic_name(url: URL, options: KafkaOptions) -> str:
    """The topic that is named; empty where each session has one, and none is named.

    Raises:
        InvalidURL: None is.
    """
    name = options.topic or url.path.strip("/")
    if not name and options.layout == "topic":
        return ""
    try:
        return topic(name)
    except ValueError:
        raise InvalidURL(
            "kafka: the URL has to name a topic: kafka://host1,host2:9092/topic (up to 249 letters, digits, '.', '_' "
            "and '-'), or give it as topic"
        ) from None


def servers_of(url: URL) -> str:
    """The brokers that a URL names, as the driver takes them; empty where it names none.

    Example:
        >>> from backscroll.url import parse_url
        >>> servers_of(parse_url("kafka://broker1:9092,broker2/topic?layout=topic"))
        'broker1:9092,broker2:9092'
    """
    names = [(f"[{host.name}]" if ":" in host.name else host.name, host.port or PORT) for host in url.hosts]
    return ",".join(f"{name}:{port}" for name, port in names)


def settings_of(url: URL, options: KafkaOptions) -> dict[str, Any]:
    """How the brokers are reached.

    Raises:
        InvalidOption: Options do not go together.
    """
    settings: dict[str, Any] = {"bootstrap.servers": servers_of(url) or f"localhost:{PORT}"}
    for name in _PASSED_ON:
        if (value := getattr(options, name)) is not None:
            settings[name.replace("_", ".")] = value
    username, password = options.sasl_username or url.username, options.sasl_password or url.password
    protocol = options.security_protocol or _protocol(options, username)
    settings["security.protocol"] = protocol.lower()
    if protocol.lower().startswith("sasl"):
        if not username or password is None:
            raise InvalidOption("kafka: security.protocol: SASL takes a user and a password: kafka://user:…@host")
        settings |= {
            "sasl.mechanism": options.sasl_mechanism or "PLAIN",
            "sasl.username": username,
            "sasl.password": password,
        }
    elif password and not username:
        raise InvalidOption("kafka: sasl.password: there is no user to it: give sasl.username, too")
    elif username or password:
        raise InvalidOption(f"kafka: security.protocol: {protocol} shows no user: give SASL_SSL or SASL_PLAINTEXT")
    return settings


def producing(options: KafkaOptions) -> dict[str, Any]:
    """The settings of the client that writes."""
    return {
        **COMMON,
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 0,
        "compression.type": "lz4",
        "message.timeout.ms": int(options.timeout * 1_000) + 1,
        "message.max.bytes": options.largest_turn + OVERHEAD,
        "batch.size": min(BATCH, options.largest_turn),
        "queue.buffering.max.messages": 100_000,
        "topic.metadata.propagation.max.ms": 5_000,
    }


def _protocol(options: KafkaOptions, username: str | None) -> str:
    if username:
        return "SASL_SSL"
    return "SSL" if any(getattr(options, name) is not None for name in _OF_TLS) else "PLAINTEXT"
