"""What each number of an error says about what was done."""

import pymysql
import pytest

from backscroll.backend import Deadline
from backscroll.errors import MessageTooLarge, OutcomeUnknown, SchemaError, StorageError, Unavailable
from backscroll_tidb.refusals import refused

SECRET = "s3cret"

BEFORE_COMMIT = [
    (1205, Unavailable, "others held a lock"),
    (1213, Unavailable, "deadlock"),
    (2006, Unavailable, "the connection broke"),
    (2013, Unavailable, "the connection broke"),
    (8002, Unavailable, "another transaction wrote first"),
    (8022, Unavailable, "was rolled back"),
    (8028, Unavailable, "the tables were changed"),
    (9001, Unavailable, "PD"),
    (9002, Unavailable, "TiKV"),
    (9005, Unavailable, "region"),
    (9007, Unavailable, "another transaction wrote first"),
    (1290, Unavailable, "read-only"),
    (1044, StorageError, "GRANT"),
    (1045, StorageError, "user and password"),
    (1049, StorageError, "CREATE DATABASE"),
    (1054, SchemaError, "another program's"),
    (1062, StorageError, "a row is in the way"),
    (1142, StorageError, "GRANT"),
    (1146, SchemaError, "backscroll setup"),
    (1406, MessageTooLarge, "the column"),
    (8025, MessageTooLarge, "txn-entry-size-limit"),
    (1153, MessageTooLarge, "max_allowed_packet"),
    (4242, StorageError, "4242"),
]


def error(number: int, text: str = f"something with {SECRET}") -> pymysql.err.MySQLError:
    """An error as the driver raises it."""
    return pymysql.err.OperationalError(number, text)


@pytest.mark.parametrize(("number", "kind", "text"), BEFORE_COMMIT, ids=[str(row[0]) for row in BEFORE_COMMIT])
def test_before_its_commit_nothing_of_a_transaction_was_done(number: int, kind: type[Exception], text: str) -> None:
    """Each error says so, and what to do, and repeats nothing of the server's words."""
    found = refused(error(number), Deadline(5), in_doubt=False)
    assert type(found) is kind or issubclass(type(found), kind)
    assert text in str(found)
    assert SECRET not in str(found)


@pytest.mark.parametrize("number", [2006, 2013, 1105, 1180, 1205, 1317, 9001, 9002, 9005, 4242])
def test_a_commit_that_meets_an_error_may_have_been_done(number: int) -> None:
    """Whatever the error is, but for those that say that it was rolled back."""
    assert isinstance(refused(error(number), Deadline(5), in_doubt=True), OutcomeUnknown)


@pytest.mark.parametrize("number", [1213, 8002, 8022, 8028, 9007])
def test_a_commit_that_was_rolled_back_was_not_done(number: int) -> None:
    """Trying again may help."""
    assert isinstance(refused(error(number), Deadline(5), in_doubt=True), Unavailable)


def test_the_sizes_that_the_server_tells_are_passed_on() -> None:
    """The limit, and what was measured."""
    text = "entry too large, the max entry size is 6291456, the size of data is 7340110"
    found = refused(error(8025, text), Deadline(5), in_doubt=False)
    assert isinstance(found, MessageTooLarge)
    assert (found.limit, found.size) == (6_291_456, 7_340_110)


@pytest.mark.parametrize("table", ["'backscroll_message'", "`test`.`backscroll_message`"])
def test_a_right_that_lacks_is_named_with_its_table(table: str) -> None:
    """As each kind of server spells it."""
    text = f"DELETE command denied to user 'chat'@'%' for table {table}"
    assert "lacks DELETE on" in str(refused(error(1142, text), Deadline(5), in_doubt=False))
    assert "backscroll_message: GRANT it" in str(refused(error(1142, text), Deadline(5), in_doubt=False))


def test_two_that_begin_a_session_at_once_are_told_to_try_again() -> None:
    """A key of the sessions that is there already is no damage, other than one of the messages."""
    begun = error(1062, "Duplicate entry 's' for key 'backscroll_session.PRIMARY'")
    assert isinstance(refused(begun, Deadline(5), in_doubt=False), Unavailable)
    stored = error(1062, "Duplicate entry 's-1' for key 'backscroll_message.PRIMARY'")
    assert isinstance(refused(stored, Deadline(5), in_doubt=False), StorageError)
