"""What is found by a closer look at a topic."""

import json
from typing import Any

import confluent_kafka
import pytest
from conftest import Opened
from told import make

from backscroll.backend import Examination, Severity
from backscroll.cli import main

ALONE = "the loss of one broker may lose what was acknowledged (replicas: 1, min.insync.replicas=1)"


def others(seen: Examination) -> list[tuple[Severity, str]]:
    """The findings but for the one of every topic on a lone broker."""
    return [(one.severity, one.seen.partition(",")[0]) for one in seen.findings if one.seen != ALONE]


async def test_a_topic_that_setup_made_has_no_other_findings(admin: Any, topic: str, opened: Opened) -> None:
    """What there is of it is told, in both forms alike; looking makes nothing, and brokers do not tell their time."""
    store = opened("partitions=2")
    seen = store.examine()
    assert (seen.schema, seen.findings, seen.clock_ahead) == (f"the topic {topic} is not there yet", (), None)
    assert topic not in admin.list_topics(timeout=10).topics
    store.setup()
    seen = store.examine()
    assert seen.server == "Kafka, brokers: 1"
    assert seen.schema == f"the topic {topic}, partitions: 2, replicas: 1"
    assert others(seen) == []
    assert await store.aexamine() == seen


@pytest.mark.parametrize(
    ("durability", "severity"),
    [("process", Severity.WARNING), ("server", Severity.WARNING), ("replicated", Severity.ERROR)],
)
def test_a_topic_on_one_broker_is_told(
    admin: Any, topic: str, opened: Opened, durability: str, severity: Severity
) -> None:
    """Of what claims to survive the loss of a broker, ping tells it, too."""
    make(admin, topic)
    store = opened("partitions=2", durability=durability)
    [finding] = store.examine().findings
    assert (finding.severity, finding.seen, finding.page) == (severity, ALONE, "docs/kafka.md#setting-it-up")
    assert store.ping().problems == ((str(finding),) if severity is Severity.ERROR else ())


def test_what_ping_tells_is_found(admin: Any, topic: str, opened: Opened) -> None:
    """Retention, room, a topic that is missing; with the same words."""
    assert others(opened(setup="never").examine()) == [(Severity.ERROR, f"the topic {topic} is missing")]
    make(admin, topic, retention_ms="604800000", max_message_bytes="50000")
    store = opened(setup="never")
    assert others(store.examine()) == [
        (Severity.ERROR, "max.message.bytes of the topic is 50"),
        (Severity.ERROR, "the topic drops what is older than 7 days (retention.ms=604800000)"),
    ]
    assert store.ping().problems == tuple(map(str, store.examine().findings[:2]))


def test_topics_of_sessions_are_not_looked_at(opened: Opened) -> None:
    """Which is a note."""
    seen = opened("layout=topic").examine()
    assert (seen.schema, others(seen)) == (
        "a topic for each session",
        [(Severity.NOTE, "the topics of the sessions were not looked at")],
    )


def test_the_command_tells_all_of_it(
    port: int, admin: Any, topic: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """With the driver; the exit code is 1 where something is wrong."""
    make(admin, topic)
    code = main(["doctor", "--json", f"kafka://localhost:{port}/{topic}"])
    captured = capsysbinary.readouterr()
    told = json.loads(captured.out)
    assert (code, captured.err) == (1, b"error: 1 finding to see to; see the list\n")
    assert (told["url"], told["clock_ahead"]) == (f"kafka://localhost:{port}", None)
    assert told["drivers"] == {"confluent-kafka": confluent_kafka.__version__}
    assert [finding["seen"] for finding in told["findings"]] == [ALONE]
