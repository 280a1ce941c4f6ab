"""What the errors of SQLAlchemy and PyMySQL say, told as backscroll's own."""

from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backscroll.errors import BackscrollError, DeadlineExceeded, InvalidURL, StorageError, Unavailable

R = TypeVar("R")

_NO_SUCH_ROWS: Final = {1146, 1267, 1270, 1271}
"""There is no table; or its character set has no such text as was asked for, so that no row has it."""

_OTHER_COLUMNS: Final = 1054

_PASSES: Final = {0, 1040, 1053, 1159, 1160, 1161, 1203, 1205, 1213, 1317, 1927, 2002, 2003, 2006, 2013, 2014, 2055}
"""No connection, or an error that passes."""

_REFUSED: Final = {
    1044: "the user may not use this database: GRANT it",
    1045: "it does not accept user and password",
    1049: "there is no such database",
    1142: "the user may not read and clear what LangChain's class wrote: GRANT SELECT and DELETE on its table",
    1143: "the user may not read and clear what LangChain's class wrote: GRANT SELECT and DELETE on its table",
    1698: "it does not accept user and password",
    2026: "no TLS, or not as it has to be",
    3159: "it wants TLS: add ssl_verify_cert=true to the URL",
}


def asked(database: str, table: str, call: Callable[[], R]) -> R | None:
    """What a call of SQLAlchemy gives; None where the table is missing, or cannot hold what was asked for.

    Args:
        database: What the texts of errors begin with.
        table: The original's.
        call: The call.

    Raises:
        InvalidURL: The driver does not take its options so.
        Unavailable: The server does not answer.
        StorageError: It refuses.
    """
    try:
        return call()
    except (SQLAlchemyError, OSError, RuntimeError, TypeError, ValueError) as error:
        problem = _told(database, error, table)
    # Raised behind the handler, because the error that it handles names the server and repeats what was sent.
    if problem is None:
        return None
    raise problem


def _told(database: str, error: Exception, table: str) -> BackscrollError | None:
    """What to raise for an error, whose own text may name the server or repeat what was sent; None for no rows."""
    if isinstance(error, PoolTimeout):
        return Unavailable(f"{database}: the pool has no connection free")
    if isinstance(error, RuntimeError) and "cryptography" in str(error):
        return StorageError(f"{database}: without TLS this login takes cryptography: pip install cryptography")
    if isinstance(error, TypeError | ValueError):
        return InvalidURL(f"{database}: the driver cannot take an option in the URL ({type(error).__name__})")
    inner = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    number = inner.args[0] if inner.args and isinstance(inner.args[0], int) else None
    if number in _NO_SUCH_ROWS:
        return None
    if number == _OTHER_COLUMNS:
        return StorageError(f"{database}: {number}: the table {table} is none that LangChain's class made")
    if number in _REFUSED:
        return StorageError(f"{database}: {number}: {_REFUSED[number]}")
    if "timed out" in str(inner):
        return DeadlineExceeded(f"{database}: no answer in time: is the server running, and are host and port right?")
    if number in _PASSES or isinstance(inner, OSError):
        return Unavailable(f"{database}: cannot connect: is the server running, and are host, port and TLS right?")
    return StorageError(f"{database}: {number or type(inner).__name__}: it answered with an error")
