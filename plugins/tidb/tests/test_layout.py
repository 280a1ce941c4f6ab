"""The statements, without a server."""

import re
from typing import Any
from uuid import UUID

import pytest

from backscroll.backend import Turn, Window
from backscroll.recent import ENTRY_BYTES, RING_BYTES, WINDOW, known_turn
from backscroll_tidb.layout import BEGIN, COMMIT, OFFSET, REFUSED, SCHEMA_VERSION, Layout

TURN_ID = UUID("27aa0000-0000-4000-8000-0000000000ff")
DIGEST = b"'\"`\\;--\0"
HOSTILE = ["s", "'", "\\'", '"', "`", "; DROP TABLE x --", "/*! x */", "%s %(a)s", "{0}", "X'00'", "\0", "ä\U0001f600"]
OF_TIDB, OF_OTHERS = Layout("p_", None, is_tidb=True), Layout("p_", None, is_tidb=False)

layouts = pytest.mark.parametrize("layout", [OF_TIDB, OF_OTHERS], ids=["tidb", "others"])


def turn(*bodies: bytes, **fields: Any) -> Turn:
    """A turn; with one body unless others are given."""
    return Turn(TURN_ID, DIGEST, bodies or (b"{}",), **fields)


def statements(layout: Layout, session_id: str, body: bytes = b"{}") -> list[str]:
    """Every statement in which an id or a body stands."""
    window = Window(after=1, before=9, limit=5, newest=True, now=7)
    return [
        *layout.append(session_id, turn(body, expires_at=5, purge_in=2.5, expected_version=3)),
        *layout.append(session_id, turn(body)),
        *layout.lock(session_id),
        *layout.land(session_id, turn(body), 3, body * 9, 5),
        layout.state(session_id),
        layout.read(session_id, window, only_live=True),
        layout.read(session_id, window, only_live=False),
        layout.info(session_id),
        layout.count(session_id, 7),
        layout.sessions(session_id, session_id, 5),
        *layout.discard(session_id, 5),
        *layout.drop_discarded(session_id),
        *layout.remove(session_id, (1, 2), 7),
        *layout.delete(session_id, 5),
        *layout.purge(),
    ]


def shape(statement: str) -> str:
    """A statement without its values."""
    return re.sub(r"X'[0-9a-f]*'", "X", statement)


@layouts
@pytest.mark.parametrize("text", HOSTILE)
def test_ids_and_bodies_are_in_a_statement_as_digits_only(layout: Layout, text: str) -> None:
    """Whatever they hold, all else in the statements is as it is for any other ones."""
    found = statements(layout, text, text.encode())
    assert list(map(shape, found)) == list(map(shape, statements(layout, "other", b"other")))
    assert f"X'{text.encode().hex()}'" in "".join(found)
    assert all(re.fullmatch(r"[ -~]+", one) for one in found)


@layouts
def test_no_two_statements_go_as_one(layout: Layout) -> None:
    """None has a semicolon, so that several may be sent together; none has a percent sign but in a format of dates."""
    found = [*statements(layout, "; %s"), *layout.tables(), *layout.looks(), layout.version(), layout.set_version(1)]
    assert not any(";" in one for one in found)
    assert {shown for one in found for shown in re.findall("%.", one)} <= {"%Y", "%m", "%d", "%H", "%i", "%S"}


@layouts
def test_an_append_is_a_transaction_of_two_statements(layout: Layout) -> None:
    """The session's counter first, then all messages in one statement, in their order and one seq apart."""
    begin, counter, messages, commit = layout.append("s", turn(b"a", b"b", b"c", expires_at=5))
    assert (begin, commit) == (BEGIN, COMMIT)
    assert counter.startswith("INSERT INTO `p_session` ")
    assert f"X'{TURN_ID.bytes.hex()}{DIGEST.hex()}'" in counter
    rows = [
        f"(X'73', NULLIF(LAST_INSERT_ID(), {REFUSED}) - {OFFSET} + {index}, 5, NULL, X'{body.hex()}')"
        for index, body in enumerate((b"a", b"b", b"c"))
    ]
    columns = "session_id, seq, expires_at, purge_at, body"
    assert messages == f"INSERT INTO `p_message` ({columns}) VALUES {', '.join(rows)}"


@pytest.mark.parametrize(
    ("expected", "checks", "makes"), [(None, False, True), (0, True, True), (3, True, False)], ids=str
)
def test_an_expected_version_is_a_condition(expected: int | None, checks: bool, makes: bool) -> None:
    """Only where it is 0 or not given may the session be new."""
    counter = OF_TIDB.append("s", turn(expected_version=expected))[1]
    assert (f"AND next_seq = {expected}" in counter) is checks
    assert (f"LAST_INSERT_ID(first_seq + {OFFSET})" in counter) is makes
    assert (f"LAST_INSERT_ID(first_seq + {REFUSED})" in counter) is not makes


@layouts
def test_a_turn_lands_where_it_is_told_to(layout: Layout) -> None:
    """In the transaction of `lock`, which keeps others out; the ring then knows the turn, and forgets the oldest."""
    begin, making, asking = layout.lock("s")
    assert begin == BEGIN
    assert making.startswith("INSERT INTO `p_session` ")
    assert "ON DUPLICATE KEY UPDATE" in making
    assert asking == layout.state("s")
    assert asking.endswith("FOR UPDATE")
    full = bytes(ENTRY_BYTES) * WINDOW
    update, messages, commit = layout.land("s", turn(b"a", b"b"), 7, full, 1_000)
    assert "SET next_seq = 9," in update
    assert re.findall(r"X'73', (\d+), NULL, NULL, X'(\w+)'", messages) == [("7", "61"), ("8", "62")]
    assert commit == COMMIT
    [ring] = re.findall(r"recent = X'(\w+)'", update)
    assert len(bytes.fromhex(ring)) == RING_BYTES
    answer = known_turn(bytes.fromhex(ring), 9, 1_000, turn(b"a", b"b"))
    assert answer is not None
    assert answer.seqs == (7, 8)


def purge_at(layout: Layout, seconds: float | None) -> str:
    """What a message's row has in that column."""
    [found] = re.findall(r"X'73', 0, NULL, (.*), X'7b7d'\)$", layout.land("s", turn(purge_in=seconds), 0, b"", 5)[1])
    return str(found)


@layouts
def test_what_never_expires_is_never_purged(layout: Layout) -> None:
    """Its column is empty."""
    assert purge_at(layout, None) == "NULL"


def test_tidb_has_a_date_by_which_a_message_goes() -> None:
    """Of a whole second, none too early, in UTC whatever the session's time zone is."""
    for seconds, whole in [(0.001, 1), (2.0, 3), (2.5, 3)]:
        found = purge_at(OF_TIDB, seconds)
        assert found.endswith(f"DATE_FORMAT(UTC_TIMESTAMP() + INTERVAL {whole} SECOND, '%Y-%m-%d %H:%i:%S+00:00'))")
        assert found.startswith(f"IF({whole} > 2147483647 - ")


def test_a_date_that_tidb_does_not_know_is_none() -> None:
    """What ends after 2038 stays, and no interval is too large for the server to add."""
    found = purge_at(OF_TIDB, 1e13)
    assert found.startswith("IF(10000000000001 > 2147483647 - ")
    assert ", NULL, DATE_FORMAT(UTC_TIMESTAMP() + INTERVAL 2147483647 SECOND, " in found


def test_others_have_a_number_of_milliseconds() -> None:
    """It is the server's clock to which they are added."""
    for seconds, milliseconds in [(0.001, 1), (2.5, 2_500), (1e13, 10**16)]:
        assert re.fullmatch(rf".*UTC_TIMESTAMP\(6\).* DIV 1000\) \+ {milliseconds}", purge_at(OF_OTHERS, seconds))


def test_tidb_drops_what_expired_by_itself() -> None:
    """It has a TTL and no index on what is the same place for all new messages; the others have the index."""
    tidb, others = " ".join(OF_TIDB.tables()), " ".join(OF_OTHERS.tables())
    assert "purge_at TIMESTAMP NULL" in tidb
    assert "TTL_ENABLE = 'ON'" in tidb
    assert "KEY due" not in tidb
    assert "purge_at BIGINT NULL" in others
    assert "KEY due (purge_at)" in others
    assert "TTL" not in others


@layouts
def test_tables_are_made_where_they_are_missing(layout: Layout) -> None:
    """Each by a statement that may be repeated, clustered by what they are read by; ids and bodies are bytes."""
    assert [re.findall(r"^CREATE TABLE IF NOT EXISTS (\S+) ", one) for one in layout.tables()] == [
        ["`p_session`"],
        ["`p_message`"],
        ["`p_schema`"],
    ]
    assert "PRIMARY KEY (session_id, seq) /*T![clustered_index] CLUSTERED */" in layout.tables()[1]
    assert not re.search(r"CHAR\(|TEXT", " ".join(layout.tables()))
    assert len(layout.migrations()) == SCHEMA_VERSION


def test_tables_of_a_schema_are_named_with_it() -> None:
    """In every statement that names one."""
    layout = Layout("p_", "other", is_tidb=True)
    found = [*statements(layout, "s"), *layout.tables(), *layout.looks(), layout.version(), layout.set_version(1)]
    named = [one for one in found if "`" in one.replace("`purge_at`", "")]
    assert len(named) > len(found) / 2
    for one in named:
        names = re.findall(r"\S*`p_\w+`", one)
        assert names
        assert all(name.lstrip("(").startswith("`other`.`p_") for name in names)


@pytest.mark.parametrize(
    ("window", "end"),
    [
        (Window(None, None, 5, False, 7), "WHERE session_id = X'73' ORDER BY seq LIMIT 5"),
        (Window(None, None, 5, True, 7), "WHERE session_id = X'73' ORDER BY seq DESC LIMIT 5"),
        (Window(-1, None, 5, False, 7), "WHERE session_id = X'73' AND seq > -1 ORDER BY seq LIMIT 5"),
        (Window(0, 9, 5, True, 7), "WHERE session_id = X'73' AND seq > 0 AND seq < 9 ORDER BY seq DESC LIMIT 5"),
    ],
)
def test_a_window_is_read_in_its_order(window: Window, end: str) -> None:
    """Its bounds are bounds of the key, so that nothing else is looked at."""
    assert OF_TIDB.read("s", window, only_live=False).endswith(end)


def test_only_what_is_live_is_asked_for_where_it_has_to_be() -> None:
    """What has expired or was discarded is left out by the server then."""
    found = OF_OTHERS.read("s", Window(None, None, 5, False, 7), only_live=True)
    assert "(expires_at IS NULL OR expires_at > 7)" in found
    assert "seq >= (SELECT first_seq" in found
