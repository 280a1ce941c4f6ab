"""Where the settings of a topic fall short of what is claimed."""

from typing import Any

import pytest

from backscroll.backend import Severity
from backscroll_kafka.connections import Topic
from backscroll_kafka.options import KafkaOptions
from backscroll_kafka.settings import Seen, examined, of_a_new_topic

TOPIC = Topic("id", 2, 0, 3)

MONTH = 30 * 86_400.0


def _problems(given: dict[str, str], **options: Any) -> tuple[str, ...]:
    claimed = KafkaOptions(**options)
    return examined(Seen("topic", TOPIC, {**of_a_new_topic(claimed), **given}, "Kafka"), claimed).health.problems


@pytest.mark.parametrize(
    ("given", "options", "text"),
    [
        ({"retention.bytes": "1000"}, {}, "beyond 1,000 bytes of a partition (retention.bytes=1000)"),
        ({}, {"replication": 4}, "the topic has fewer replicas (3) than replication=4"),
        ({"retention.bytes": "0"}, {"retention": MONTH}, "set retention.bytes=-1"),
        ({"retention.ms": "604800000"}, {}, "older than 7 days (retention.ms=604800000)"),
        ({"retention.ms": "604800000"}, {"retention": MONTH}, "sooner than retention=30 days"),
        (
            {"unclean.leader.election.enable": "true"},
            {"durability": "replicated"},
            "set unclean.leader.election.enable=false",
        ),
    ],
)
def test_a_setting_that_loses_messages_is_told(given: dict[str, str], options: dict[str, Any], text: str) -> None:
    """With its value and what to change."""
    [problem] = _problems(given, **options)
    assert text in problem


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({}, {}),
        ({}, {"retention": MONTH}),
        ({}, {"replication": 3}),
        ({"max.message.bytes": str(65 << 20)}, {"max_turn_bytes": 80 << 20}),
        ({"retention.ms": "-1"}, {"retention": MONTH}),
        ({"retention.ms": str(31 * 86_400_000)}, {"retention": MONTH}),
        ({"unclean.leader.election.enable": "true"}, {}),
        ({"unclean.leader.election.enable": "false"}, {"durability": "replicated"}),
    ],
)
def test_a_topic_that_keeps_what_is_claimed_is_fine(given: dict[str, str], options: dict[str, Any]) -> None:
    """It may keep more."""
    assert _problems(given, **options) == ()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"min.insync.replicas": "1"}, "acknowledged (replicas: 3, min.insync.replicas=1)"),
        ({"min.insync.replicas": "2", "unclean.leader.election.enable": "true"}, "unclean.leader.election.enable=true"),
    ],
)
def test_what_the_loss_of_a_broker_takes_is_told_where_nothing_is_claimed_of_it(
    given: dict[str, str], text: str
) -> None:
    """It is no problem of ping then, and wrong in production."""
    options = KafkaOptions()
    seen = examined(Seen("topic", TOPIC, {**of_a_new_topic(options), **given}, "Kafka"), options)
    [finding] = seen.findings
    assert (finding.severity, seen.health.problems) == (Severity.WARNING, ())
    assert text in finding.seen
