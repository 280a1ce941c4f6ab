"""What servers say of their settings, and where they fall short of what is claimed."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import attrs

from backscroll.backend import Durability, Health

SETTINGS: Final = (("CONFIG", "GET", "appendfsync"), ("CONFIG", "GET", "save"))
"""What a server may refuse to tell."""

UNKNOWN: Final = ""
"""What stands for a setting that the server does not tell."""


class Claim(NamedTuple):
    """What an acknowledged message is claimed to survive, and whether another server may take over."""

    durability: Durability
    fails_over: bool = False


def health(info: bytes, answers: Sequence[Any], claim: Claim) -> Health:
    """The health of a server.

    Args:
        info: Its answer to INFO.
        answers: Its answers to `SETTINGS`; empty where it refuses them.
        claim: What is claimed.
    """
    told, config = _fields(info), _pairs(answers)
    if "valkey_version" in told:
        server = f"Valkey {told['valkey_version']}"
    else:
        server = f"Redis {told.get('redis_version', 'of unknown version')}"
    problems = [*_evicting(told), *_persisting(told, config, claim.durability), *_replicating(told, claim)]
    return Health(server, tuple(problems))


def together(found: Sequence[tuple[tuple[str, int], Health]], *problems: str) -> Health:
    """The health of several servers, each with its address, and of what they hold."""
    if len(found) == 1:
        return attrs.evolve(found[0][1], problems=(*problems, *found[0][1].problems))
    servers = " and ".join(sorted({one.server for _, one in found}))
    of_each = (f"{host}:{port}: {problem}" for (host, port), one in found for problem in one.problems)
    return Health(f"{servers}, a cluster of {len(found)} masters", (*problems, *of_each))


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


def _evicting(info: Mapping[str, str]) -> list[str]:
    policy = info.get("maxmemory_policy", UNKNOWN)
    if policy in (UNKNOWN, "noeviction"):
        return []
    return [f"maxmemory-policy is {policy}: when its memory is full, it drops history in silence: set noeviction"]


def _persisting(info: Mapping[str, str], config: Mapping[str, str], claim: Durability) -> list[str]:
    has_log = info.get("aof_enabled", UNKNOWN) == "1"
    if claim is Durability.PROCESS:
        if has_log or config.get("save", "unknown") or info.get("aof_enabled", UNKNOWN) == UNKNOWN:
            return []
        return ["it keeps nothing on disk (appendonly no, save empty): a restart takes all history: set appendonly yes"]
    if not has_log:
        return ["appendonly is no, so that a restart loses what it acknowledged: set yes, or claim durability=process"]
    if (how := config.get("appendfsync", UNKNOWN)) not in (UNKNOWN, "always"):
        return [f"appendfsync is {how}, so that a restart may lose the last second: set always"]
    return []


def _replicating(info: Mapping[str, str], claim: Claim) -> list[str]:
    if info.get("role") == "slave":
        return ["it is a replica, which takes no writes: give the URL of the master"]
    has_replicas = info.get("connected_slaves", "0") != "0"
    if claim.fails_over and has_replicas and claim.durability is not Durability.PROCESS:
        return ["a replica that takes over lacks what it was not sent: claim durability=process"]
    return []
