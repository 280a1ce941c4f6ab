"""What an error says about what was done."""

import re
from typing import Final

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    InvalidResponse,
    NoScriptError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from backscroll.backend import Deadline
from backscroll.errors import BackscrollError, DeadlineExceeded, OutcomeUnknown, StorageError, Unavailable


class UnknownCommand(StorageError):
    """A server does not know what it was asked; it may be of another kind than the URL says."""


REFUSALS: Final = (AuthenticationError, AuthorizationError, BusyLoadingError)
"""Answers of a server that redis-py takes for the end of the connection."""

_TELLING: Final = {
    "READONLY": (Unavailable, "it is a replica, which takes no writes"),
    "LOADING": (Unavailable, "it is still loading its data"),
    "MASTERDOWN": (Unavailable, "it is a replica that has lost its master"),
    "BUSY": (Unavailable, "a script of another program holds it up"),
    "NOREPLICAS": (Unavailable, "it has too few replicas to take writes (min-replicas-to-write)"),
    "CLUSTERDOWN": (Unavailable, "the cluster is not complete: look at its masters"),
    "TRYAGAIN": (Unavailable, "the cluster is moving these keys from one master to another"),
    "OOM": (StorageError, "its memory is full (maxmemory), and nothing was stored: give it more, or clear sessions"),
    "MISCONF": (StorageError, "it takes no writes, since it cannot save its data to disk: look at its log"),
    "WRONGTYPE": (StorageError, "a key of another program is in the way: choose another one with prefix="),
    "NOAUTH": (StorageError, "it wants a password: give one in the URL"),
    "WRONGPASS": (StorageError, "it does not accept user and password; in a URL a password alone is :password@"),
    "NOPASSWORD": (StorageError, "it has no password: take the one that it is given away"),
    "NOPERM": (StorageError, "the user may not run all commands on these keys and channels: grant it in the ACL"),
    "UNKNOWN": (UnknownCommand, "it does not know the command: is it 5.0 or later, or not what the URL says?"),
    "NODB": (StorageError, "it has no database of the number that is asked for: give a smaller one"),
}
"""What the codes mean with which a server refuses: what it answers itself may repeat what was sent."""

_BY_CLASS: Final = {
    "ReadOnlyError": "READONLY",
    "BusyLoadingError": "LOADING",
    "MasterDownError": "MASTERDOWN",
    "ClusterDownError": "CLUSTERDOWN",
    "TryAgainError": "TRYAGAIN",
    "OutOfMemoryError": "OOM",
    "NoPermissionError": "NOPERM",
    "AuthenticationError": "WRONGPASS",
}
"""The codes that redis-py takes out of an error's text."""

# Servers before 7.0 put the code of an error that a script met into a text of their own.
_CODE: Final = re.compile(rf"\b({'|'.join(_TELLING)})\b")

_COMMAND: Final = re.compile(r"to run the '([a-z|]{1,40})' command")

_PHRASES: Final = (
    ("can't run this command", "NOPERM"),
    ("can't access at least one of the keys", "NOPERM"),
    ("can't access at least one of the channels", "NOPERM"),
    ("can't publish to the channel", "NOPERM"),
    ("no permissions to", "NOPERM"),
    ("Authentication required", "NOAUTH"),
    ("HELLO must be called with the client already authenticated", "NOAUTH"),
    ("without any password configured", "NOPASSWORD"),
    ("Client sent AUTH, but no password is set", "NOPASSWORD"),
    ("unauthenticated", "NOAUTH"),
    ("unknown command", "UNKNOWN"),
    ("cluster support disabled", "UNKNOWN"),
    ("DB index is out of range", "NODB"),
)
"""The codes of errors that come with none of their own, or with another one."""


def refused(error: RedisError) -> Exception:
    """What to raise for an error that the server answered: nothing was done.

    A missing script, and a key that another server has, are for the caller.
    """
    if isinstance(error, NoScriptError | AskError):
        return error
    name = type(error).__name__
    told = [code for phrase, code in _PHRASES if phrase in str(error)]
    found = told or _CODE.findall(str(error))
    code = found[0] if found else _BY_CLASS.get(name, "")
    kind, text = _TELLING.get(code, (StorageError, "it answered with an error"))
    command = _COMMAND.search(str(error)) if code == "NOPERM" else None
    return kind(f"redis: {code or name}: {text}{f' ({command[1].upper()})' if command else ''}")


def not_sent(error: Exception) -> Exception:
    """There is no connection, so that nothing was sent."""
    if isinstance(error, (*REFUSALS, ResponseError)):
        return refused(error)
    if isinstance(error, InvalidResponse):
        return StorageError("redis: what answers is no Redis, or wants TLS: are host, port and rediss:// right?")
    # All the time that there was is the call's.
    kind = DeadlineExceeded if isinstance(error, TimeoutError | RedisTimeoutError) else Unavailable
    return kind(f"redis: cannot connect ({_reason(error)}): is the server running, and are host, port and TLS right?")


def _reason(error: BaseException) -> str:
    """What the system says of it; what redis-py says would repeat parts of the URL."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def lost(error: Exception, deadline: Deadline, *, writes: bool) -> BackscrollError:
    """There is no answer to what was sent."""
    if isinstance(error, TimeoutError | RedisTimeoutError):
        what = f"no answer within {deadline.seconds:g} s"
    else:
        what = f"the connection broke ({_reason(error)})"
    return (OutcomeUnknown if writes else Unavailable)(f"redis: {what}")


def too_late(deadline: Deadline) -> DeadlineExceeded:
    """The time was over before anything was sent."""
    return DeadlineExceeded(f"redis: not begun within {deadline.seconds:g} s: raise timeout")
