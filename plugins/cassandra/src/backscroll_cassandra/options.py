"""The options of ``cassandra://`` and ``astra://``."""

import re
from typing import Any, Literal

import attrs

from backscroll.backend import a_file, a_text, an_object, choice, option
from backscroll.tls import TLSOptions

_NAME = r"[A-Za-z][A-Za-z0-9_]{0,47}"


def identifier(value: Any) -> str:
    """A name that Cassandra takes for a keyspace, or as the beginning of a table's."""
    if not isinstance(value, str) or not re.fullmatch(_NAME, value):
        raise ValueError("expected a letter and up to 47 letters, digits and _, of ASCII")
    return value


def prefix(value: Any) -> str:
    """The beginning of a table's name: 48 characters are the most of a whole one."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", value):
        raise ValueError("expected a small letter and up to 39 small letters, digits and _, of ASCII")
    return value


def replicas(value: Any) -> str:
    """How often the data is stored, as CQL has it."""
    if isinstance(value, int):
        value = str(value)
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]?", value):
        return f"{{'class': 'SimpleStrategy', 'replication_factor': {value}}}"
    parts = value.split(",") if isinstance(value, str) else []
    if not parts or not all(re.fullmatch(r"[A-Za-z0-9_.-]+:[1-9][0-9]?", part) for part in parts):
        raise ValueError("expected data centres with their numbers of replicas, datacenter1:3, or 1 for a lone node")
    counts = ", ".join("'{}': {}".format(*part.split(":")) for part in parts)
    return f"{{'class': 'NetworkTopologyStrategy', {counts}}}"


def version(value: Any) -> int:
    """A version of the protocol that is spoken here."""
    if str(value) not in ("4", "5"):
        raise ValueError("expected 4 or 5")
    return int(value)


@attrs.frozen(kw_only=True)
class CassandraOptions(TLSOptions):
    """What ``cassandra://host:9042/keyspace?…`` takes beside the options of every backend."""

    keyspace: str | None = option(None, identifier, "the keyspace that holds the tables, instead of the URL's")
    prefix: str = option("backscroll_", prefix, "what the names of the tables begin with")
    replication: str | None = option(
        None,
        replicas,
        "how often the data of a keyspace that setup makes is stored: datacenter1:3,datacenter2:3, or 1 for a lone "
        "node; without it, setup makes no keyspace",
    )
    local_dc: str | None = option(
        None, a_text, "the data centre whose nodes are asked; needed where the cluster has several"
    )
    consistency: Literal["local", "global"] = option(
        "local",
        choice("local", "global"),
        "local: the writers of a session are all in one data centre (LOCAL_SERIAL, LOCAL_QUORUM); global: they may be "
        "in several (SERIAL, QUORUM)",
    )
    durability: Literal["process", "server", "replicated"] = option(
        "server",
        choice("process", "server", "replicated"),
        "what the cluster is set up to keep: process claims nothing about a node's restart, server that what was "
        "acknowledged survives kill -9 (commitlog_sync batch or group, or three replicas), replicated that it survives "
        "the loss of a node; ping and setup compare the claim with its settings",
    )
    protocol_version: int = option(5, version, "5, or 4 for Astra DB")
    session: Any = option(None, an_object, "a Session of the DataStax driver of your own, used and never closed")
    secure_connect_bundle: str | None = option(None, a_file, "the zip file by which Astra DB is reached")
    token: str | None = option(None, a_text, "the token of Astra DB (AstraCS:…)", secret=True)
