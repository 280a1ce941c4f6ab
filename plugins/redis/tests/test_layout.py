"""The shape of the data, without a server."""

from collections import Counter
from uuid import uuid4

import attrs
import pytest
from redis.crc import key_slot

from backscroll.backend import Durability, Examination, Finding, Page, Row, SessionPage, Severity, Turn, Window
from backscroll_redis.layout import SHARDS, Layout, schema_version, slot_of
from backscroll_redis.settings import Claim, Told, examined, together

HOSTILE = ["s", "}", "{", "{}", "a}b", "a%7Db", "a%b", "%", "}:messages", "s}:session", "ä", "s:messages", "\0", " s"]


def keys(session_id: str) -> tuple[bytes, bytes]:
    """The list and the hash of a session."""
    found = Layout("backscroll").discard(session_id, 0, {}).keys
    return found[0], found[1]


@pytest.mark.parametrize("session_id", HOSTILE)
def test_all_that_an_append_touches_lives_in_one_slot(session_id: str) -> None:
    """Whatever the id holds; and the slot is the one that redis-py computes."""
    turn = Turn(turn_id=uuid4(), digest=bytes(8), bodies=(b"{}",), purge_in=1.0)
    found = Layout("backscroll").append(session_id, turn, None, {}).keys
    assert len(found) == 5
    assert {key_slot(key) for key in found} == {slot_of(found[0])}


def test_no_two_sessions_share_a_key() -> None:
    """Nor is a key of a session one of an index."""
    all_keys = [key for session_id in HOSTILE for key in keys(session_id)]
    all_keys += [key for one in Layout("backscroll").shards for key in (one.index, one.due, one.schema)]
    assert len(set(all_keys)) == len(all_keys)


@pytest.mark.parametrize("masters", [2, 3, 5, 16, 64])
def test_each_master_of_a_cluster_has_its_share_of_the_shards(masters: int) -> None:
    """Where each has an even range of slots, as when the cluster is made."""
    shares = [0] * masters
    for shard in Layout("backscroll").shards:
        shares[key_slot(shard.index) * masters // 16_384] += 1
    assert sum(shares) == SHARDS
    assert max(shares) - min(shares) <= 2


def test_sessions_spread_over_the_shards() -> None:
    """None has many more than its share."""
    shares = Counter(keys(f"session {number}")[0].partition(b":messages")[0] for number in range(100 * SHARDS))
    assert len(shares) == SHARDS
    assert max(shares.values()) < 150


def test_a_page_of_sessions_ends_where_a_shard_may_have_more() -> None:
    """What lies behind comes with the next page, so that none is missed."""
    query = Layout("backscroll").sessions("", None, 5, {})
    answers: list[list[bytes]] = [[] for _ in range(2 * SHARDS)]  # the marks, then the indexes
    answers[SHARDS + 3] = [b"a", b"b", b"c", b"d"]
    answers[SHARDS + 7] = [b"aa", b"e"]
    assert query.answered(answers) == SessionPage(("a", "aa", "b", "c", "d"), "d")
    answers[SHARDS + 3] = [b"a", b"b", b"c"]
    assert query.answered(answers) == SessionPage(("a", "aa", "b", "c", "e"), None)


def test_a_page_of_messages_keeps_their_bytes() -> None:
    """Colons of a body are its own; what was removed is passed over, and still says where to go on."""
    request = Layout("backscroll").read("s", Window(None, None, 3, newest=False, now=0), {})
    answer = [1, b'7:::{"a":":"}', b"8:12:3456::", b"9-0a1b"]
    assert request.answered(answer) == Page([Row(7, None, b'{"a":":"}'), Row(8, 12, b":")], 9)


@pytest.mark.parametrize(
    ("found", "version"), [(b"", None), (b"theirs", None), (b"1", None), (b"1 ab", 1), (b"12 ab", 12)]
)
def test_the_schema_has_a_version(found: bytes, version: int | None) -> None:
    """What is none of ours has none."""
    assert schema_version(found) == version


def test_a_server_that_tells_little_is_not_blamed() -> None:
    """Where CONFIG is refused and INFO is short, nothing is said to be wrong, but what could not be seen."""
    claim = Claim(Durability.PROCESS)
    seen = examined(Told(b""), claim)
    assert (seen.health.problems, seen.clock_ahead) == ((), None)
    assert [(finding.severity, finding.seen.partition(" could")[0]) for finding in seen.findings] == [
        (Severity.NOTE, "appendfsync and save"),
        (Severity.NOTE, "maxmemory_policy and aof_enabled"),
    ]
    assert examined(Told(b"# Server\r\nvalkey_version:8.1\r\n"), claim).server == "Valkey 8.1"


def test_a_claim_that_a_failover_breaks_is_told() -> None:
    """Replicas of a cluster take over by themselves, those of a single server do not."""
    told = Told(b"role:master\r\nconnected_slaves:1\r\naof_enabled:1\r\n")
    assert any("takes over" in problem for problem in examined(told, Claim(Durability.SERVER, True)).health.problems)
    assert examined(told, Claim(Durability.SERVER, False)).health.problems == ()


def test_what_is_seen_of_several_servers_names_each() -> None:
    """One alone goes without its address; the clock is the one that is off the most."""
    full = Finding(Severity.ERROR, "it is full")
    one = Examination(server="Redis 7.0.15", clock_ahead=0.5)
    other = Examination(server="Redis 7.0.15", clock_ahead=-2.0, findings=(full,))
    assert together([(("a", 1), other)], "version 1") == attrs.evolve(other, schema="version 1")
    assert together([(("a", 1), one), (("b", 2), other)], Finding(Severity.ERROR, "lost")) == Examination(
        server="Redis 7.0.15, a cluster of 2 masters",
        clock_ahead=-2.0,
        findings=(Finding(Severity.ERROR, "lost"), Finding(Severity.ERROR, "b:2: it is full")),
    )
