"""What servers say of their settings, and where they fall short of what is claimed, or of production."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import attrs

from backscroll.backend import Durability, Examination, Finding, Severity, clock_ahead

SETTINGS: Final = (("CONFIG", "GET", "appendfsync"), ("CONFIG", "GET", "save"))
"""What a server may refuse to tell."""

UNKNOWN: Final = ""
"""What stands for a setting that the server does not tell."""

SET_UP: Final = "docs/redis.md#setting-it-up"
PERMISSIONS: Final = "docs/redis.md#permissions"


class Claim(NamedTuple):
    """What an acknowledged message is claimed to survive, and whether another server may take over."""

    durability: Durability
    fails_over: bool = False


@attrs.frozen
class Told:
    """What a server told.

    Args:
        info: Its answer to INFO.
        settings: Its answers to `SETTINGS`; empty where it refuses them.
        asked: When it was asked for INFO, in nanoseconds since 1970 by the clock of the store.
        answered: When the answer was there.
    """

    info: bytes
    settings: Sequence[Any] = ()
    asked: int = 0
    answered: int = 0


def examined(told: Told, claim: Claim) -> Examination:
    """What was seen of a server, whose schema is another matter."""
    info, config = _fields(told.info), _pairs(told.settings)
    if "valkey_version" in info:
        server = f"Valkey {info['valkey_version']}"
    else:
        server = f"Redis {info.get('redis_version', 'of unknown version')}"
    time = info.get("server_time_usec", UNKNOWN)
    findings = [
        *_evicting(info),
        *_persisting(info, config, claim.durability),
        *_replicating(info, claim),
        *_unseen(info, config),
    ]
    return Examination(
        server=server,
        clock_ahead=clock_ahead(int(time) * 1_000, told.asked, told.answered) if time else None,
        findings=tuple(findings),
    )


def together(found: Sequence[tuple[tuple[str, int], Examination]], schema: str | Finding) -> Examination:
    """What was seen of several servers, each with its address, and of what they hold.

    Args:
        found: What was seen of each.
        schema: What there is of the schema, or what is wrong with it.
    """
    of_schema, schema = ((), schema) if isinstance(schema, str) else ((schema,), "")
    if len(found) == 1:
        [(_, alone)] = found
        return attrs.evolve(alone, schema=schema, findings=(*of_schema, *alone.findings))
    servers = " and ".join(sorted({one.server for _, one in found}))
    clocks = [one.clock_ahead for _, one in found if one.clock_ahead is not None]
    of_each = (
        attrs.evolve(finding, seen=f"{host}:{port}: {finding.seen}")
        for (host, port), one in found
        for finding in one.findings
    )
    return Examination(
        server=f"{servers}, a cluster of {len(found)} masters",
        schema=schema,
        clock_ahead=max(clocks, key=abs, default=None),
        findings=(*of_schema, *of_each),
    )


def _fields(answer: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in answer.decode().splitlines())
    return {name: value for name, colon, value in lines if colon}


def _pairs(answers: Sequence[Any]) -> dict[str, str]:
    """The settings; a client brought along may speak RESP3, in which an answer is a map."""
    told: dict[str, str] = {}
    for answer in answers:
        pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
        told.update((name.decode(), value.decode()) for name, value in pairs)
    return told


def _evicting(info: Mapping[str, str]) -> Iterator[Finding]:
    policy = info.get("maxmemory_policy", UNKNOWN)
    if policy not in (UNKNOWN, "noeviction"):
        yield Finding(
            Severity.ERROR,
            f"maxmemory-policy is {policy}: when its memory is full, it drops history in silence",
            "set noeviction",
            SET_UP,
        )


def _persisting(info: Mapping[str, str], config: Mapping[str, str], claim: Durability) -> Iterator[Finding]:
    log = info.get("aof_enabled", UNKNOWN)
    has_log, is_claimed = log == "1", claim is not Durability.PROCESS
    fsync = config.get("appendfsync", UNKNOWN)
    if is_claimed and not has_log:
        yield Finding(
            Severity.ERROR,
            "appendonly is no, so that a restart loses what it acknowledged",
            "set yes, or claim durability=process",
            SET_UP,
        )
    elif is_claimed and fsync not in (UNKNOWN, "always"):
        yield Finding(
            Severity.ERROR,
            f"appendfsync is {fsync}, so that a restart may lose the last second",
            "set always",
            SET_UP,
        )
    elif log == "0" and config.get("save") == "":
        yield Finding(
            Severity.ERROR,
            "it keeps nothing on disk (appendonly no, save empty): a restart takes all history",
            "set appendonly yes",
            SET_UP,
        )
    elif log == "0":
        yield Finding(
            Severity.WARNING,
            "appendonly is no, so that a restart takes all history since the last snapshot",
            "set appendonly yes",
            SET_UP,
        )


def _replicating(info: Mapping[str, str], claim: Claim) -> Iterator[Finding]:
    has_replicas = info.get("connected_slaves", "0") != "0"
    if info.get("role") == "slave":
        yield Finding(
            Severity.ERROR, "it is a replica, which takes no writes", "give the URL of the master", "docs/redis.md#url"
        )
    elif claim.fails_over and has_replicas and claim.durability is not Durability.PROCESS:
        yield Finding(
            Severity.ERROR,
            "a replica that takes over lacks what it was not sent",
            "claim durability=process",
            SET_UP,
        )


def _unseen(info: Mapping[str, str], config: Mapping[str, str]) -> Iterator[Finding]:
    if missing := [name for name in ("appendfsync", "save") if name not in config]:
        yield Finding(
            Severity.NOTE,
            f"{' and '.join(missing)} could not be seen: the account may not, or the service does not tell",
            "give it +config|get, or look at them yourself",
            PERMISSIONS,
        )
    if missing := [name for name in ("maxmemory_policy", "aof_enabled") if name not in info]:
        yield Finding(
            Severity.NOTE, f"{' and '.join(missing)} could not be seen in INFO", "look at them yourself", SET_UP
        )
