"""What a topic says of its settings, and where they fall short of what is claimed, or of production."""

from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from backscroll.backend import Durability, Examination, Finding, Severity
from backscroll_kafka.connections import Topic
from backscroll_kafka.layout import OVERHEAD
from backscroll_kafka.options import KafkaOptions
from backscroll_kafka.refusals import MISSING

PARTITIONS: Final = 48
"""How many partitions a topic gets that is not told how many."""

ENOUGH: Final = 2
"""How many brokers have to hold what is acknowledged, so that it survives the loss of one."""

DROPS: Final = "delete"
"""The policy by which a topic drops what is old, and nothing else: compaction would drop turns of a session."""

DAY: Final = 86_400_000
"""The milliseconds of a day."""

SET_UP: Final = "docs/kafka.md#setting-it-up"


@attrs.frozen
class Seen:
    """What was looked at.

    Args:
        name: The name of the topic; empty where each session has one.
        topic: What there is of it; None where it is missing.
        settings: Its settings.
        brokers: The brokers, with their number.
    """

    name: str
    topic: Topic | None
    settings: Mapping[str, str]
    brokers: str


def of_a_new_topic(options: KafkaOptions) -> dict[str, str]:
    """The settings of a topic that setup makes."""
    settings = {
        "cleanup.policy": DROPS,
        "retention.ms": str(-1 if options.retention is None else int(options.retention * 1_000)),
        "retention.bytes": "-1",
        "max.message.bytes": str(options.largest_turn + OVERHEAD),
    }
    if options.durability == Durability.REPLICATED.value or (options.replication or 0) > ENOUGH:
        settings["min.insync.replicas"] = str(ENOUGH)
    return settings


def partitions_of(options: KafkaOptions) -> int:
    """How many partitions a topic gets that setup makes."""
    return options.partitions or (PARTITIONS if options.layout == "shared" else 1)


def unusable(name: str, topic: Topic, settings: Mapping[str, str], options: KafkaOptions) -> str | None:
    """Why a topic cannot be used as it is, with what to change; None where it can."""
    if options.partitions not in (None, topic.partitions):
        return (
            f"the topic {name} has {topic.partitions} partitions, not {options.partitions}: sessions would not be "
            f"found where they are; open it with partitions={topic.partitions}, or name another topic"
        )
    if DROPS not in settings.get("cleanup.policy", DROPS) or "compact" in settings.get("cleanup.policy", DROPS):
        return (
            f"the topic {name} has cleanup.policy={settings['cleanup.policy']}, which drops all but the last turn of a "
            f"session: set cleanup.policy={DROPS}, if no compaction has run yet, or name another topic"
        )
    return None


def examined(seen: Seen, options: KafkaOptions) -> Examination:
    """What was seen of a topic; brokers do not tell their time."""
    return Examination(server=seen.brokers, schema=_schema(seen, options), findings=tuple(_findings(seen, options)))


def _schema(seen: Seen, options: KafkaOptions) -> str:
    if options.layout == "topic":
        return "a topic for each session"
    if seen.topic is None:
        return f"the topic {seen.name} is not there yet"
    return f"the topic {seen.name}, partitions: {seen.topic.partitions}, replicas: {seen.topic.replicas}"


def _findings(seen: Seen, options: KafkaOptions) -> Iterator[Finding]:
    if seen.topic is None:
        if options.layout == "topic":
            yield Finding(Severity.NOTE, "the topics of the sessions were not looked at", page=SET_UP)
        elif options.setup == "never":
            seen_missing, _, advice = MISSING.format(topic=seen.name).partition(": ")
            yield Finding(Severity.ERROR, seen_missing, advice, SET_UP)
        return
    if seen.topic.leaderless:
        yield Finding(
            Severity.ERROR, f"{seen.topic.leaderless} of the partitions have no leader", "are all brokers up?", SET_UP
        )
    largest, needed = int(seen.settings.get("max.message.bytes", 1 << 62)), options.largest_turn
    if largest < needed:
        yield Finding(
            Severity.ERROR,
            f"max.message.bytes of the topic is {largest:,}, below max_turn_bytes={needed:,}",
            f"raise it to {needed + OVERHEAD}, or lower max_turn_bytes",
            SET_UP,
        )
    if options.replication is not None and seen.topic.replicas < options.replication:
        yield Finding(
            Severity.ERROR,
            f"the topic has fewer replicas ({seen.topic.replicas}) than replication={options.replication}",
            "give it more replicas, or claim fewer",
            SET_UP,
        )
    yield from _retention(seen.settings, options.retention)
    yield from _replication(seen.topic, seen.settings, options)


def _retention(settings: Mapping[str, str], claimed: float | None) -> Iterator[Finding]:
    kept = int(settings.get("retention.ms", -1))
    if kept >= 0 and claimed is None:
        yield Finding(
            Severity.ERROR,
            f"the topic drops what is older than {kept / DAY:g} days (retention.ms={kept})",
            "set retention.ms=-1, or say so by retention",
            SET_UP,
        )
    if claimed is not None and 0 <= kept < int(claimed * 1_000):
        yield Finding(
            Severity.ERROR,
            f"the topic drops what is older than {kept / DAY:g} days (retention.ms={kept}), sooner than "
            f"retention={claimed * 1_000 / DAY:g} days",
            f"set retention.ms={int(claimed * 1_000)}, or claim less",
            SET_UP,
        )
    if (size := int(settings.get("retention.bytes", -1))) >= 0:
        yield Finding(
            Severity.ERROR,
            f"the topic drops what is beyond {size:,} bytes of a partition (retention.bytes={size}), however new it is",
            "set retention.bytes=-1",
            SET_UP,
        )


def _replication(topic: Topic, settings: Mapping[str, str], options: KafkaOptions) -> Iterator[Finding]:
    """What the loss of a broker may take: an error where it is claimed to take nothing."""
    is_claimed = options.durability == Durability.REPLICATED.value
    severity = Severity.ERROR if is_claimed else Severity.WARNING
    instead = ", or claim durability=server" if is_claimed else ""
    insync = int(settings.get("min.insync.replicas", 1))
    if settings.get("unclean.leader.election.enable") == "true" and (is_claimed or topic.replicas > 1):
        yield Finding(
            severity,
            "a broker that lacks what was acknowledged may become the leader (unclean.leader.election.enable=true)",
            f"set unclean.leader.election.enable=false{instead}",
            SET_UP,
        )
    if topic.replicas < ENOUGH or insync < ENOUGH:
        yield Finding(
            severity,
            "the loss of one broker may lose what was acknowledged "
            f"(replicas: {topic.replicas}, min.insync.replicas={insync})",
            f"give it 3 replicas and min.insync.replicas=2{instead}",
            SET_UP,
        )
