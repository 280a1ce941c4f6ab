"""What an error says about what was done."""

import re
import ssl
from typing import Final

import pymysql
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backscroll.backend import Deadline
from backscroll.errors import (
    BackscrollError,
    DeadlineExceeded,
    MessageTooLarge,
    OutcomeUnknown,
    SchemaError,
    StorageError,
    Unavailable,
)


class NoTables(SchemaError):
    """The tables are not there."""


NULL_REFUSED: Final = 1048
NO_TABLE: Final = 1146
NO_RIGHT: Final = 1142
SYNTAX: Final = 1064
INSECURE: Final = 3159
TWICE: Final = 1062
NO_MULTI_STATEMENTS: Final = 8130
UNSENT: Final = 2006
"""PyMySQL could not send all of a packet, so that the server cannot have read its statements."""

LOST: Final = {0, 1053, 1159, 1160, 1161, UNSENT, 2013, 2014, 2055}
"""There is no connection any more, or none that is of use."""

DOUBTFUL: Final = {
    1105: "an error without a number of its own",
    1180: "an error while it committed",
    1317: "the statement was interrupted",
    1927: "the connection was killed",
    9001: "TiDB did not hear from PD in time",
    9002: "TiDB did not hear from TiKV in time",
    9005: "a region of TiKV is not available",
}
"""Errors after which a write may have been done."""

AGAIN: Final = {
    1020: "another transaction wrote first",
    1040: "it has too many connections (max_connections)",
    1129: "it blocks this host after too many errors (FLUSH HOSTS)",
    1203: "the user has too many connections (max_user_connections)",
    1205: "others held a lock for too long (innodb_lock_wait_timeout)",
    1213: "a deadlock, which it ended here",
    1226: "the user is over one of its limits (max_questions and the like)",
    1290: "it takes no writes now (read-only): is it a replica?",
    1792: "it takes no writes now (read-only transaction): is it a replica?",
    1836: "it takes no writes now (read-only): is it a replica?",
    1969: "the statement ran into a time limit of the server",
    3024: "the statement ran into a time limit of the server (max_execution_time)",
    8002: "another transaction wrote first",
    8022: "the commit failed and was rolled back",
    8027: "its knowledge of the tables is out of date",
    8028: "the tables were changed meanwhile",
    9003: "TiKV is busy",
    9004: "others held a lock for too long",
    9007: "another transaction wrote first",
}
"""Errors after which nothing was done, and which pass."""

MEND: Final = {
    1021: "its disk is full, and nothing was stored",
    1044: "the user may not use this database: GRANT it",
    1045: "it does not accept user and password (one who has to use TLS needs ssl_verify_cert=true, or ssl_cert, too)",
    1049: "there is no such database: CREATE DATABASE it, or give another one",
    TWICE: "a row is in the way that nothing here made: look at the tables",
    1114: "the table is full, and nothing was stored",
    1130: "it does not let this host in",
    1698: "it does not accept user and password",
    1820: "the password of this user has to be changed first",
    1862: "the password of this user has expired",
    2026: "no TLS, or not as it has to be",
    2059: "it wants a way of authentication that PyMySQL does not know",
    3118: "the account is locked",
    INSECURE: "it wants TLS: add ssl_verify_cert=true to the URL",
    4151: "the account is locked",
    SYNTAX: "it does not understand a statement: is it TiDB, MySQL 5.7 or later, or MariaDB?",
}
"""Errors that stay until something is mended."""

TOO_LARGE: Final = {
    1153: ("max_allowed_packet of the server", 16 << 20),
    1301: ("max_allowed_packet of the server", 16 << 20),
    1406: ("the column body", (1 << 24) - 1),
    8004: ("txn-total-size-limit of the server", 100 << 20),
    8025: ("txn-entry-size-limit of the server", 6 << 20),
}
"""What of the server is too small for a message or a turn, and how large it is unless the server says otherwise."""

ROLLED_BACK: Final = {1213, 8002, 8004, 8022, 8025, 8027, 8028, 9007}
"""Errors after which nothing was done, even where it was COMMIT that met them."""

STRANGE: Final = {
    1054: (SchemaError, "tables of these names are another program's: choose other ones with prefix="),
    NO_TABLE: (NoTables, "the tables are not there: call setup(), or run: backscroll setup URL"),
}
"""A column or a table is not there."""

DENIED: Final = {1142, 1143, 1227, 1370}
"""The user lacks a right."""

# What is repeated of an error: a right, and the name of a table, which nobody but its own setting chose.
_RIGHT: Final = re.compile(r"^([A-Z ]{3,40}) command denied to user .* for table ['`]([A-Za-z0-9_`.]{1,140})['`]")
_PRIVILEGE: Final = re.compile(r"you need \(at least one of\) the ([A-Za-z_ ,]{3,60}) privilege")
_OF_SESSION: Final = re.compile(r"for key '[A-Za-z0-9_.]*session\.PRIMARY'")
_SIZES: Final = re.compile(r"max entry size is (\d+), the size of data is (\d+)")


def code_of(error: BaseException) -> int | None:
    """The number of an error; None where it has none."""
    number = error.args[0] if isinstance(error, pymysql.err.MySQLError) and error.args else None
    return number if isinstance(number, int) else None


def is_loss(error: BaseException) -> bool:
    """Whether the connection is of no use after this."""
    code = code_of(error)
    return code is None or code in LOST or isinstance(error, pymysql.err.InterfaceError)


def refused(error: Exception, deadline: Deadline, *, in_doubt: bool) -> Exception:
    """What to raise for an error.

    Args:
        error: The error.
        deadline: Of the call.
        in_doubt: Whether what was sent may have been done for all that is known; else it was surely not.
    """
    if not isinstance(error, pymysql.err.MySQLError):
        return error
    code = code_of(error)
    text = str(error.args[1]) if len(error.args) > 1 else ""
    if is_loss(error):
        return lost(text, deadline, in_doubt=in_doubt)
    if in_doubt and code not in ROLLED_BACK:
        return OutcomeUnknown(f"tidb: {code}: {DOUBTFUL.get(code or 0, 'an error while it committed')}")
    if code in TOO_LARGE:
        setting, usual = TOO_LARGE[code]
        sizes = _SIZES.search(text)
        limit, size = map(int, sizes.groups()) if sizes else (usual, None)
        return MessageTooLarge(setting, limit, size, ceiling=True)
    if code in DENIED:
        return StorageError(f"tidb: {code}: {_lacking(text)}")
    if code in STRANGE:
        kind, what = STRANGE[code]
        return kind(f"tidb: {code}: {what}")
    if code == TWICE and _OF_SESSION.search(text):
        return Unavailable(f"tidb: {code}: another one began the session at the same moment")
    if listed := _listed(code):
        return listed
    what = DOUBTFUL.get(code or 0, "it answered with an error")
    return (Unavailable if code in DOUBTFUL else StorageError)(f"tidb: {code}: {what}")


def not_connected(error: Exception) -> Exception:
    """There is no connection, so that nothing was sent."""
    if isinstance(error, RuntimeError) and "cryptography" in str(error):
        return StorageError("tidb: without TLS this login takes cryptography: pip install 'backscroll-tidb[rsa]'")
    if isinstance(error, PoolTimeout):
        return Unavailable("tidb: the pool of the engine has no connection free: raise its pool_size or max_overflow")
    if not isinstance(error, pymysql.err.MySQLError):
        return StorageError(f"tidb: cannot connect ({type(error).__name__})")
    # TiDB Cloud says so without a number of its own.
    code = INSECURE if "insecure transport" in str(error) else code_of(error)
    cause = _cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return StorageError(f"tidb: the server's certificate is refused: {cause.verify_message}")
    if code != 2026 and (listed := _listed(code)):  # TLS, of which the system may say more
        return listed
    if isinstance(cause, ssl.SSLError) or code == 2026:
        reason = getattr(cause, "reason", None) or "it offers none"
        return StorageError(f"tidb: no TLS with the server ({reason})")
    if code is not None and code not in LOST and not 2000 <= code < 3000:  # the driver's own
        return (Unavailable if code in DOUBTFUL else StorageError)(f"tidb: {code}: it answered with an error")
    is_late = "timed out" in str(error)  # after all the time that the call had
    reason = "no answer in time" if is_late else getattr(cause, "strerror", None) or "it hung up"
    kind = DeadlineExceeded if is_late else Unavailable
    return kind(f"tidb: cannot connect ({reason}): is the server running, and are host, port and TLS right?")


def lost(text: str, deadline: Deadline, *, in_doubt: bool) -> BackscrollError:
    """There is no answer to what was sent."""
    what = f"no answer within {deadline.seconds:g} s" if "timed out" in text else "the connection broke"
    return (OutcomeUnknown if in_doubt else Unavailable)(f"tidb: {what}")


def too_late(deadline: Deadline) -> DeadlineExceeded:
    """The time was over before anything was sent."""
    return DeadlineExceeded(f"tidb: not begun within {deadline.seconds:g} s: raise timeout")


def _listed(code: int | None) -> BackscrollError | None:
    """What an error means wherever it comes."""
    if code in AGAIN:
        return Unavailable(f"tidb: {code}: {AGAIN[code]}")
    return StorageError(f"tidb: {code}: {MEND[code]}") if code in MEND else None


def _lacking(text: str) -> str:
    if found := _RIGHT.search(text):
        return f"the user lacks {found[1]} on {found[2].replace('`', '')}: GRANT it"
    if found := _PRIVILEGE.search(text):
        return f"the user lacks {found[1]}: GRANT it"
    return "the user lacks a right: GRANT SELECT, INSERT, UPDATE, DELETE on the tables, for setup CREATE, too"


def _cause(error: BaseException) -> BaseException | None:
    """The system's error behind one of PyMySQL's."""
    cause = getattr(error, "original_exception", None) or error.__cause__ or error.__context__
    return cause if isinstance(cause, OSError) else None
