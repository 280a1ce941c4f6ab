"""What the faulty backend with a server declares; imports no driver."""

from collections.abc import Iterable

import attrs

from backscroll.hookspecs import BackendInfo, ServerSpec, hookimpl
from backscroll_redis import plugin


@hookimpl
def backscroll_backends() -> Iterable[BackendInfo]:
    """Redis with the fault that the options name."""
    (right,) = plugin.backscroll_backends()
    yield attrs.evolve(
        right,
        name="served",
        schemes=("served",),
        factory="backscroll_faulty.served:Served",
        options="backscroll_faulty.served:ServedOptions",
    )


@hookimpl
def backscroll_servers() -> Iterable[ServerSpec]:
    """The server of Redis."""
    (right,) = plugin.backscroll_servers()
    yield attrs.evolve(right, backend="served", url=right.url.replace("redis:", "served:"))
