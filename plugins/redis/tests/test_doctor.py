"""What is found by a closer look at a server."""

import json
import time
from collections.abc import Callable

import pytest
import redis

from backscroll import Store
from backscroll.backend import Examination, Severity
from backscroll.cli import main
from backscroll_conformance.containers import Server

Opened = Callable[..., Store]


def found(seen: Examination, severity: Severity) -> list[str]:
    """What was seen that matters so much."""
    return [finding.seen for finding in seen.findings if finding.severity is severity]


async def test_a_server_that_is_set_up_well_has_no_findings(opened: Opened, admin: redis.Redis) -> None:
    """Its version, schema and clock are told, in both forms alike; nothing is written."""
    store = opened()
    before = store.examine()
    assert (before.schema, admin.dbsize()) == ("not there yet", 0)
    store.setup()
    seen = store.examine()
    assert seen.server == f"Redis {admin.info()['redis_version']}"
    assert (seen.schema, seen.clock_ahead, seen.findings) == ("version 1", 0.0, ())
    assert await store.aexamine() == seen
    await store.aclose()


def test_a_server_without_persistence_is_told(opened: Opened, admin: redis.Redis) -> None:
    """Also where no durability is claimed: a snapshot now and then is better than nothing, and not good."""
    careless = opened(durability="process")
    assert careless.examine().findings == ()
    admin.config_set("appendonly", "no")
    try:
        admin.config_set("save", "3600 1")
        [snapshots] = careless.examine().findings
        assert (snapshots.severity, snapshots.page) == (Severity.WARNING, "docs/redis.md#setting-it-up")
        assert snapshots.seen.startswith("appendonly is no")
        admin.config_set("save", "")
        [nothing] = careless.examine().findings
        assert (nothing.severity, str(nothing)) == (Severity.ERROR, careless.ping().problems[0])
        assert nothing.seen.startswith("it keeps nothing on disk")
    finally:
        admin.config_set("appendonly", "yes")


def test_a_server_that_evicts_is_told(opened: Opened, admin: redis.Redis) -> None:
    """As by ping."""
    store = opened()
    admin.config_set("maxmemory-policy", "allkeys-lru")
    [evicting] = store.examine().findings
    assert (evicting.severity, str(evicting)) == (Severity.ERROR, store.ping().problems[0])
    assert evicting.seen.startswith("maxmemory-policy is allkeys-lru")


def test_marks_that_are_gone_are_told(opened: Opened, admin: redis.Redis) -> None:
    """By a store that has seen them; a new one only tells how many there are."""
    store = opened()
    store.setup()
    one, *_ = admin.keys("*schema*")
    admin.delete(one)
    assert opened().examine().schema == "version 1, but for 1 of 64 shards"
    [lost] = store.examine().findings
    assert (lost.severity, str(lost)) == (Severity.ERROR, store.ping().problems[0])
    assert "came back without its data" in lost.seen
    admin.set(one, "theirs")
    [foreign] = opened().examine().findings
    assert "is another program's" in foreign.seen


def test_what_an_account_may_not_look_at_is_a_note(server: Server, opened: Opened, admin: redis.Redis) -> None:
    """And no failure."""
    admin.execute_command("ACL", "SETUSER", "blind", "reset", "on", ">s3cret", "+@all", "-config", "~*", "&*")
    store = opened(server.url.replace("localhost", "blind:s3cret@localhost"))
    assert found(store.examine(), Severity.NOTE) == [
        "appendfsync and save could not be seen: the account may not, or the service does not tell"
    ]
    assert store.examine().health.problems == store.ping().problems == ()


def test_a_clock_that_differs_is_told(opened: Opened) -> None:
    """By how much, with its sign, against the clock that decides what has expired."""
    ahead = opened(clock=lambda: time.time_ns() - 5_000_000_000).examine().clock_ahead
    assert ahead is not None
    assert 4.0 < ahead <= 5.0
    behind = opened(clock=lambda: time.time_ns() + 5_000_000_000).examine().clock_ahead
    assert behind is not None
    assert -5.0 <= behind < -4.0


def test_the_command_tells_all_of_it(
    server: Server, admin: redis.Redis, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """With the driver, and without the password; the exit code is 1 where something is wrong."""
    admin.config_set("maxmemory-policy", "allkeys-lru")
    admin.execute_command("ACL", "SETUSER", "chat", "reset", "on", ">s3cret", "+@all", "~*", "&*")
    code = main(["doctor", "--json", server.url.replace("localhost", "chat:s3cret@localhost")])
    captured = capsysbinary.readouterr()
    told = json.loads(captured.out)
    assert (code, captured.err) == (1, b"error: 1 finding to see to; see the list\n")
    assert told["url"] == server.url.partition("/0")[0].partition("?")[0]
    assert told["plugin"].startswith("backscroll-redis ")
    assert told["drivers"] == {"redis": redis.__version__}
    assert [finding["severity"] for finding in told["findings"]] == ["error"]
    assert b"s3cret" not in captured.out + captured.err
