"""What redis-py's errors say, told as backscroll's own."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from redis.exceptions import AuthenticationError, AuthorizationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from backscroll.errors import BackscrollError, DeadlineExceeded, StorageError, Unavailable

P = ParamSpec("P")
R = TypeVar("R")


class OtherType(StorageError):
    """A key holds no list."""


def asked(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What a call of redis-py gives.

    Raises:
        Unavailable: The server does not answer.
        StorageError: It refuses.
    """
    try:
        return call(*args, **kwargs)
    except (RedisError, OSError) as error:
        problem = _told(error)
    # Raised behind the handler, because the error that it handles names the server.
    raise problem


def _told(error: Exception) -> BackscrollError:
    """What to raise for an error, whose own text may name the server or repeat what was sent."""
    code = str(error).partition(" ")[0]
    if code == "WRONGTYPE":
        return OtherType("redis: WRONGTYPE: a key holds no list")
    if isinstance(error, AuthenticationError | AuthorizationError) or code in ("NOAUTH", "WRONGPASS"):
        return StorageError("redis: the server does not accept user and password")
    if code == "NOPERM" or "permissions" in str(error):
        return StorageError("redis: NOPERM: the user may not use the lists of LangChain's class: grant it in the ACL")
    if isinstance(error, RedisTimeoutError | TimeoutError):
        return DeadlineExceeded("redis: no answer in time: is the server running, and are host, port and TLS right?")
    if isinstance(error, RedisConnectionError | OSError):
        return Unavailable("redis: cannot connect: is the server running, and are host, port and TLS right?")
    if isinstance(error, ResponseError) and code in ("LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY"):
        return Unavailable(f"redis: {code}: the server cannot answer now")
    return StorageError(f"redis: the server refused ({type(error).__name__})")
