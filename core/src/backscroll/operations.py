"""What every operation of `Store` shares: its two forms, how it is run, who is told of it, and its end."""

import inspect
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

import attrs

from backscroll.backend import Backend
from backscroll.capabilities import Capability, Limits, Support
from backscroll.errors import Closed, Unsupported
from backscroll.hookspecs import OperationEvent
from backscroll.retry import IO, AsyncIO, Call, SyncIO, drive
from backscroll.values import Appended

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Operations")
Operation = Callable[Concatenate[S, Call, P], Coroutine[Any, Any, R]]

SIZES: Final = ("max_message_bytes", "max_turn_bytes", "max_turn_messages")
"""The limits that an option can lower, and raise as far as the database goes."""

_SYNC: Final = SyncIO()
_ASYNC: Final = AsyncIO()


def in_sync(operation: Operation[S, P, R]) -> Callable[Concatenate[S, P], R]:
    """The sync form of an operation that is written as a coroutine."""

    @wraps(operation)
    def method(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return drive(self._start(_SYNC, operation, args, kwargs))

    _sign(method, operation, "")
    return method


def in_async(operation: Operation[S, P, R]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """The async form of an operation that is written as a coroutine."""

    @wraps(operation)
    async def method(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._start(_ASYNC, operation, args, kwargs)

    _sign(method, operation, "a")
    return method


def _sign(method: Any, operation: Callable[..., Any], prefix: str) -> None:
    """Give a form its public name and a signature without `call`."""
    signature = inspect.signature(operation)
    method.__signature__ = signature.replace(parameters=[p for p in signature.parameters.values() if p.name != "call"])
    method.__name__ = prefix + operation.__name__.removeprefix("_")
    method.__qualname__ = f"Store.{method.__name__}"
    # Python names this one when a call does not fit it.
    operation.__qualname__ = f"Store.{operation.__name__.removeprefix('_')}"


class Operations:
    """The ground under `Store`: its backend, its observer, and how an operation is run."""

    def __init__(self, backend: Backend, observer: Callable[[OperationEvent], None] | None = None) -> None:
        self._backend = backend
        self._options = backend.options
        self._observer = observer
        self._closed = False
        self._sizes = tuple(getattr(self.limits, name) for name in SIZES)
        self._surely_fits = min(self._sizes[:2])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.backend}{' (closed)' if self._closed else ''}>"

    def close(self) -> None:
        """Release the connections; every later call raises `Closed`. Harmless to repeat."""
        self._closed = True
        self._backend.close()

    async def aclose(self) -> None:
        """Async twin of `close`; also releases what belongs to the running loop."""
        self._closed = True
        await self._backend.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def backend(self) -> str:
        """The name of the backend."""
        return self._backend.declared.name

    @property
    def capabilities(self) -> Mapping[Capability, Support]:
        """What the backend can do."""
        return self._backend.capabilities

    @property
    def limits(self) -> Limits:
        """The limits in force, options included, and what the backend claims."""
        options, limits = self._options, self._backend.limits
        return attrs.evolve(limits, **{name: min(getattr(options, name), getattr(limits, name)) for name in SIZES})

    def _start(
        self, io: IO, operation: Callable[..., Coroutine[Any, Any, R]], args: Any, kwargs: Any
    ) -> Coroutine[Any, Any, R]:
        if self._closed:
            raise Closed
        call = Call(io, self._options.timeout)
        if not self._observer:
            return operation(self, call, *args, **kwargs)
        return self._observed(self._observer, call, operation, args, kwargs)

    async def _observed(
        self,
        observer: Callable[[OperationEvent], None],
        call: Call,
        operation: Callable[..., Coroutine[Any, Any, R]],
        args: Any,
        kwargs: Any,
    ) -> R:
        started = time.perf_counter()
        result: R | None = None
        error: str | None = None
        try:
            result = await operation(self, call, *args, **kwargs)
            return result
        except BaseException as failure:
            error = type(failure).__name__
            raise
        finally:
            session_id = args[0] if args else kwargs.get("session_id")
            session_id = getattr(session_id, "session_id", session_id)  # a page of an iteration has it in its walk
            observer(
                OperationEvent(
                    backend=self.backend,
                    operation=operation.__name__.removeprefix("_"),
                    session_id=session_id if isinstance(session_id, str) else None,
                    seconds=time.perf_counter() - started,
                    tries=call.tries,
                    messages=_messages(result),
                    error=error,
                )
            )

    def _require(self, capability: Capability) -> None:
        support = self._backend.capabilities[capability]
        if not support:
            raise Unsupported(self.backend, capability.value, support.reason)

    def _now(self) -> int:
        """Microseconds since 1970, by the store's clock."""
        nanoseconds: int = self._options.clock()
        return nanoseconds // 1_000


def _messages(result: object) -> int:
    """How many messages an operation stored or returned."""
    match result:
        case Appended():
            return 0 if result.duplicate else len(result.seqs)
        case list():
            return len(result)
        case _:
            return 0
