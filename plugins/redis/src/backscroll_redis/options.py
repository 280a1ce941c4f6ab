"""The options of ``redis://``."""

from typing import Any, Literal

import attrs

from backscroll.backend import BackendOptions, a_file, a_text, an_object, choice, option


def prefix(value: Any) -> str:
    """What keys begin with: no braces, which would say in a cluster where a key belongs."""
    if not isinstance(value, str) or not value.isprintable() or not value or {"{", "}"} & set(value):
        raise ValueError("expected a string of printable characters that is not empty and has no braces")
    return value


@attrs.frozen(kw_only=True)
class RedisOptions(BackendOptions):
    """What ``redis://host:6379/0?…`` takes beside the options of every backend."""

    prefix: str = option("backscroll", prefix, "what every key begins with")
    durability: Literal["process", "server"] = option(
        "process",
        choice("process", "server"),
        "what the server is set up to keep: process claims nothing about its restart, server that what it acknowledged "
        "survives kill -9 (appendonly yes, appendfsync always); ping and setup compare the claim with its settings",
    )
    client: Any = option(
        None,
        an_object,
        "a redis.Redis of your own, which is used and never closed, or the login of a RedisCluster",
    )
    async_client: Any = option(
        None, an_object, "a redis.asyncio.Redis of your own for the async form, or the login of a RedisCluster"
    )
    credential_provider: Any = option(None, an_object, "a credential provider of redis-py, for example for IAM")
    sentinel_username: str | None = option(None, a_text, "the user for the sentinels, where they want one")
    sentinel_password: str | None = option(None, a_text, "the password for the sentinels", secret=True)
    tls_ca: str | None = option(None, a_file, "the file with the certificates to trust instead of the system's")
    tls_cert: str | None = option(None, a_file, "the file with the certificate to show")
    tls_key: str | None = option(None, a_file, "the file with the key of that certificate")
