"""What a topic says of its settings, and where they fall short of what is claimed."""

from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from backscroll.backend import Durability, Health
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


@attrs.frozen
class Seen:
    """What was looked at.

    Args:
        name: The name of the topic; empty where each session has one.
        topic: What there is of it; None where it is missing.
        settings: Its settings.
        brokers: The brokers, as they are told in a health.
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


def health(seen: Seen, options: KafkaOptions) -> Health:
    """The health of a topic."""
    return Health(seen.brokers, tuple(_problems(seen, options)))


def _problems(seen: Seen, options: KafkaOptions) -> Iterator[str]:
    if seen.topic is None:
        if options.setup == "never" and options.layout == "shared":
            yield MISSING.format(topic=seen.name)
        return
    if seen.topic.leaderless:
        yield f"{seen.topic.leaderless} of the partitions have no leader: are all brokers up?"
    largest, needed = int(seen.settings.get("max.message.bytes", 1 << 62)), options.largest_turn
    if largest < needed:
        yield (
            f"max.message.bytes of the topic is {largest:,}, below max_turn_bytes={needed:,}: raise it to "
            f"{needed + OVERHEAD}, or lower max_turn_bytes"
        )
    if options.replication is not None and seen.topic.replicas < options.replication:
        yield (
            f"{seen.topic.replicas} brokers hold the topic, below replication={options.replication}: give it more "
            "replicas, or claim fewer"
        )
    yield from _retention(seen.settings, options.retention)
    if options.durability == Durability.REPLICATED.value:
        yield from _replication(seen.topic, seen.settings)


def _retention(settings: Mapping[str, str], claimed: float | None) -> Iterator[str]:
    kept = int(settings.get("retention.ms", -1))
    if kept >= 0 and claimed is None:
        yield (
            f"the topic drops what is older than {kept / DAY:g} days (retention.ms={kept}): set retention.ms=-1, or "
            "say so by retention"
        )
    if claimed is not None and 0 <= kept < int(claimed * 1_000):
        yield (
            f"the topic drops what is older than {kept / DAY:g} days (retention.ms={kept}), sooner than "
            f"retention={claimed * 1_000 / DAY:g} days: set retention.ms={int(claimed * 1_000)}, or claim less"
        )
    if (size := int(settings.get("retention.bytes", -1))) >= 0:
        yield (
            f"the topic drops what is beyond {size:,} bytes of a partition (retention.bytes={size}), however new it "
            "is: set retention.bytes=-1"
        )


def _replication(topic: Topic, settings: Mapping[str, str]) -> Iterator[str]:
    insync = int(settings.get("min.insync.replicas", 1))
    if settings.get("unclean.leader.election.enable") == "true":
        yield (
            "a broker that lacks what was acknowledged may become the leader (unclean.leader.election.enable=true): "
            "set unclean.leader.election.enable=false, or claim durability=server"
        )
    if topic.replicas < ENOUGH or insync < ENOUGH:
        yield (
            f"{topic.replicas} brokers hold the topic and min.insync.replicas is {insync}, so that the loss of one "
            "may lose what was acknowledged: give it 3 replicas and min.insync.replicas=2, or claim durability=server"
        )
