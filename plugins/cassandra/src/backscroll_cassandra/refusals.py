"""What an error says about what was done."""

import os
import re
import ssl
from typing import Final

from cassandra import (
    AuthenticationFailed,
    CoordinationFailure,
    DriverException,
    InvalidRequest,
    OperationTimedOut,
    RequestValidationException,
    Timeout,
    Unauthorized,
    UnresolvableContactPoints,
)
from cassandra import Unavailable as NotEnoughReplicas
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionBusy, ConnectionException, ProtocolVersionUnsupported
from cassandra.pool import NoConnectionsAvailable
from cassandra.protocol import ConfigurationException, IsBootstrappingErrorMessage, OverloadedErrorMessage

from backscroll.errors import (
    BackscrollError,
    MessageTooLarge,
    OutcomeUnknown,
    SchemaError,
    StorageError,
    Unavailable,
)

MISSING: Final = "the tables are missing: call setup(), or run: backscroll setup"
"""What is told of tables that are not there."""

NO_TABLES: Final = f"cassandra: {MISSING}"
"""The same as the text of an error."""

UNKNOWN: Final = (
    "cassandra: the node that was asked does not know all the tables: does the cluster agree on its schema?"
)
"""The text of an error on a node for which some of the tables are not there, though they stand in the schema."""


class NoTables(SchemaError):
    """The tables are not there."""


NOT_SENT: Final = (NoConnectionsAvailable, ConnectionBusy)
"""What keeps a request from being sent to a node."""

_DOWN: Final = ("Host has been marked down or removed", "Pool is shutdown")
_NO_TABLE: Final = re.compile(r"unconfigured table|keyspace .* does not exist|table .* does not exist", re.IGNORECASE)
_SIZE: Final = re.compile(r"exceeds (allowed maximum|max)|too large|larger than", re.IGNORECASE)
_RIGHT: Final = re.compile(r"has no (\w+) permission on (<[^>]*>)")


def refused(error: BaseException, *, writes: bool, limit: int) -> BaseException:
    """What an error means for its request.

    Args:
        error: The driver's.
        writes: Whether the request may have changed something.
        limit: The most bytes of a turn, by the options.
    """
    if isinstance(error, BackscrollError):
        return error
    if isinstance(error, InvalidRequest):
        return _invalid(str(error), limit)
    if (sure := _surely_not_done(error)) is not None:
        return sure
    # One that is overloaded may say so of a write that some replica has taken.
    return _doubtful(error, OutcomeUnknown if writes else Unavailable)


def _surely_not_done(error: BaseException) -> BackscrollError | None:
    if isinstance(error, Unauthorized):
        found = _RIGHT.search(str(error))
        lacking = f"{found[1]} on {found[2]}" if found else "a right"
        return StorageError(f"cassandra: the user lacks {lacking}: GRANT it")
    if isinstance(error, AuthenticationFailed | RequestValidationException | ConfigurationException):
        return StorageError(f"cassandra: the request is refused ({type(error).__name__})")
    if isinstance(error, IsBootstrappingErrorMessage):
        return Unavailable("cassandra: the node that was asked is just starting")
    if isinstance(error, NoHostAvailable) and all(_is_unsent(each) for each in _each(error)):
        return Unavailable(f"cassandra: no node can be reached ({_kinds(error)})")
    return None


def _doubtful(error: BaseException, kind: type[BackscrollError]) -> BackscrollError:
    if isinstance(error, NoHostAvailable):
        return kind(f"cassandra: no node can be reached any more ({_kinds(error)})")
    if isinstance(error, NotEnoughReplicas):
        # A conditional write may have gone on from an attempt that some replica took.
        return kind(f"cassandra: {error.alive_replicas} of the {error.required_replicas} replicas it takes are alive")
    if isinstance(error, Timeout | CoordinationFailure):
        return kind(f"cassandra: not enough replicas answered ({type(error).__name__})")
    if isinstance(error, OverloadedErrorMessage):
        return kind("cassandra: a node is overloaded")
    if isinstance(error, OperationTimedOut):
        return kind("cassandra: the node that was asked did not answer in time")
    if isinstance(error, ConnectionException):
        return kind("cassandra: the connection was lost")
    return (StorageError if kind is Unavailable else kind)(f"cassandra: {type(error).__name__}")


def not_connected(error: BaseException, protocol_version: int) -> BackscrollError:
    """What kept us from a first connection."""
    if isinstance(error, BackscrollError):
        return error
    if isinstance(error, InvalidRequest) and _NO_TABLE.search(str(error)):
        # A table stands in the schema some time before a node can do with it.
        return Unavailable(UNKNOWN)
    if isinstance(error, InvalidRequest | Unauthorized):
        return StorageError(f"cassandra: the tables cannot be used as they are ({type(error).__name__})")
    for each in _each(error) if isinstance(error, NoHostAvailable) else [error]:
        if (final := _final(each, protocol_version)) is not None:
            return final
    if isinstance(error, NoHostAvailable):
        return Unavailable(
            f"cassandra: no node can be reached ({_kinds(error)}): are host and port right, and is it up?"
        )
    if isinstance(error, UnresolvableContactPoints):
        return Unavailable("cassandra: none of the hosts has an address: are their names right?")
    if isinstance(error, DriverException) and "metadata service" in str(error):
        return Unavailable(
            "astra: it does not tell where the nodes are: is the bundle up to date, and the database up?"
        )
    return Unavailable(f"cassandra: no connection ({type(error).__name__})")


def _final(error: BaseException, protocol_version: int) -> StorageError | None:
    """What a node said that it will say again."""
    if isinstance(error, AuthenticationFailed):
        return StorageError("cassandra: it does not accept user and password, or wants them: cassandra://user:…@host")
    if isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
        # The driver makes another error of it, which repeats all addresses.
        return StorageError("cassandra: the server's certificate is refused: is ssl_ca right, does it name the node?")
    if isinstance(error, ssl.SSLError) or "[SSL" in str(error):
        return StorageError("cassandra: no TLS with the server: does it speak TLS on that port?")
    if isinstance(error, ProtocolVersionUnsupported) or "protocol version" in str(error).lower():
        other = 4 if protocol_version == 5 else 5
        return StorageError(
            f"cassandra: the server does not speak version {protocol_version} of the protocol: "
            f"give protocol_version={other}"
        )
    return None


def _invalid(text: str, limit: int) -> BackscrollError:
    if _NO_TABLE.search(text):
        return NoTables(NO_TABLES)
    if _SIZE.search(text):
        return MessageTooLarge("max_turn_bytes", limit)
    return StorageError("cassandra: the server refuses the statement: is the table another program's?")


def _each(error: NoHostAvailable) -> list[BaseException]:
    errors = error.errors
    found = list(errors.values()) if isinstance(errors, dict) else []
    return [each for each in found if isinstance(each, BaseException)]


def _is_unsent(error: BaseException) -> bool:
    return isinstance(error, NOT_SENT) or (isinstance(error, ConnectionException) and str(error) in _DOWN)


def _kinds(error: NoHostAvailable) -> str:
    kinds = {_kind(each) for each in _each(error)}
    return ", ".join(sorted(kinds)) or "none is up"


def _kind(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)  # the driver puts addresses into its text
    return "marked down" if _is_unsent(error) else type(error).__name__
