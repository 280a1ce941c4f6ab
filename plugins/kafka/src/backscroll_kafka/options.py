"""The options of ``kafka://``."""

import re
from typing import Any, Literal

import attrs

from backscroll.backend import BackendOptions, a_file, a_text, choice, option, positive, seconds
from backscroll.options import truth
from backscroll_kafka.plugin import MOST_TURN_BYTES

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def topic(value: Any) -> str:
    """A name that Kafka takes for a topic."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", value) or value in {".", ".."}:
        raise ValueError("expected up to 249 letters, digits, '.', '_' and '-', of ASCII")
    return value


def retention(value: Any) -> float:
    """After how many seconds messages go: a number, or one with a unit."""
    found = re.fullmatch(r"([0-9]+)([smhd])", value) if isinstance(value, str) else None
    try:
        return float(seconds(found[1]) * _UNITS[found[2]] if found else seconds(value))
    except ValueError:
        raise ValueError("expected a time, such as 30d, 12h, 90m or 3600s") from None


def partitions(value: Any) -> int:
    """A number of partitions that a record has room for."""
    number = positive(value)
    if number > 10_000:
        raise ValueError("expected at most 10,000")
    return number


@attrs.frozen(kw_only=True)
class KafkaOptions(BackendOptions):
    """What ``kafka://host1:9092,host2:9092/topic?…`` takes beside the options of every backend."""

    timeout: float = option(30.0, seconds, "seconds that an operation may take in all, its retries included")
    topic: str | None = option(None, topic, "the topic, instead of the URL's")
    layout: Literal["shared", "topic"] = option(
        "shared",
        choice("shared", "topic"),
        "shared: one topic for all sessions; topic: one for each, whose name begins with that of the URL and a dash",
    )
    partitions: int | None = option(
        None,
        partitions,
        "how many partitions a topic gets that setup makes (48, with layout=topic 1), and has to have; never changed",
    )
    replication: int | None = option(
        None, positive, "how many brokers hold a topic that setup makes; without it, as many as the cluster says"
    )
    retention: float | None = option(
        None,
        retention,
        "after which time a topic that setup makes drops what is old: 30d, 12h, 90m or a number of seconds; without "
        "it, never",
    )
    durability: Literal["process", "server", "replicated"] = option(
        "server",
        choice("process", "server", "replicated"),
        "what the topic is set up to keep: process claims nothing about a broker's restart, server that what was "
        "acknowledged survives kill -9 of a broker's process, replicated that it survives the loss of a broker; ping "
        "and setup compare the claim with its settings",
    )
    index_mib: int = option(
        256, positive, "how many MiB the index of all sessions may take; past it, a session is looked for by scanning"
    )
    cache_mib: int = option(64, positive, "how many MiB the newest messages of the sessions in use may take")
    security_protocol: str | None = option(
        None,
        choice("plaintext", "ssl", "sasl_plaintext", "sasl_ssl", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
        "how the brokers are reached; without it SASL_SSL where a user is given, SSL where one of the options for TLS "
        "is, else PLAINTEXT",
        name="security.protocol",
    )
    sasl_mechanism: str | None = option(
        None,
        choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
        "how user and password are shown; without it PLAIN",
        name="sasl.mechanism",
    )
    sasl_username: str | None = option(None, a_text, "the user, instead of the URL's", name="sasl.username")
    sasl_password: str | None = option(
        None, a_text, "the password, instead of the URL's", secret=True, name="sasl.password"
    )
    ssl_ca_location: str | None = option(
        None, a_file, "the file with the certificates to trust instead of the system's", name="ssl.ca.location"
    )
    ssl_certificate_location: str | None = option(
        None, a_file, "the file with the certificate to show", name="ssl.certificate.location"
    )
    ssl_key_location: str | None = option(
        None, a_file, "the file with the key of that certificate", name="ssl.key.location"
    )
    ssl_key_password: str | None = option(
        None, a_text, "the password of that key", secret=True, name="ssl.key.password"
    )
    ssl_endpoint_identification_algorithm: str | None = option(
        None,
        choice("https", "none"),
        "none takes a certificate for another host, too",
        name="ssl.endpoint.identification.algorithm",
    )
    enable_ssl_certificate_verification: bool | None = option(
        None, truth, "false takes every certificate", name="enable.ssl.certificate.verification"
    )
    client_id: str = option("backscroll", a_text, "what the brokers know the clients by", name="client.id")

    @property
    def largest_turn(self) -> int:
        """How many bytes a turn has at the most."""
        return min(self.max_turn_bytes, MOST_TURN_BYTES)
