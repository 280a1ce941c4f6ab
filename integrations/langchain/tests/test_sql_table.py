"""What LangChain's `SQLChatMessageHistory` wrote is found, in SQLite and in a database that merges ids."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import released
import sqlalchemy
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from backscroll.errors import InvalidURL, StorageError, Unavailable
from backscroll.url import parse_url
from backscroll_conformance.containers import Server
from backscroll_langchain.originals import messages_of
from backscroll_langchain.sql_table import SQLOriginal

MESSAGES: list[BaseMessage] = [
    HumanMessage("hi!", name="bob", id="1"),
    AIMessage("", tool_calls=[{"name": "f", "args": {"a": [1, "ä"]}, "id": "c", "type": "tool_call"}]),
    ToolMessage("3", tool_call_id="c", artifact={"x": 1}),
]

Write = Callable[..., None]


@pytest.fixture(params=["sqlite", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the table is."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/chat.db"
    server: Server = request.getfixturevalue("mariadb_server")
    [host] = parse_url(server.url).hosts
    return f"mysql+pymysql://root@127.0.0.1:{host.port}/test"


@pytest.fixture
def table() -> str:
    """The name of a table that nobody else has."""
    return f"sql_{uuid4().hex[:20]}"


@pytest.fixture
def write(url: str, table: str) -> Iterator[Write]:
    """Writes with LangChain's class."""
    engine = sqlalchemy.create_engine(url)

    def write(session_id: str, *messages: BaseMessage) -> None:
        released.SQLChatMessageHistory(session_id, table_name=table, connection=engine).add_messages(messages)

    yield write
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"DROP TABLE IF EXISTS {table}"))
    engine.dispose()


@pytest.fixture
def original(url: str, table: str, write: Write) -> Iterator[SQLOriginal]:
    """What it wrote."""
    write("first", HumanMessage("a"))
    original = SQLOriginal.of(url, table)
    yield original
    original.close()


def test_what_the_released_class_wrote_is_read(original: SQLOriginal, write: Write, table: str) -> None:
    """In order; all or the newest, each with a place of its own."""
    write("s", *MESSAGES)
    rows = original.rows("s")
    assert messages_of(rows) == MESSAGES
    assert [row.place for row in rows] == [f"table {table!r}, id {number}" for number in (2, 3, 4)]
    assert [original.rows("s", newest) for newest in (1, 2, 9)] == [rows[-1:], rows[-2:], rows]
    assert original.rows("nobody") == []


def test_each_session_is_found_once(original: SQLOriginal, write: Write) -> None:
    """Also those that the database takes for the same, which are read and cleared by themselves."""
    names = ["bob", "Bob", "bob ", "bob'", "%", "ä"]
    for name in names * 2:
        write(name, HumanMessage(name))
    assert sorted(original.session_ids()) == sorted([*names, "first"])
    assert [messages_of(original.rows(name, 1)) for name in names] == [[HumanMessage(name)] for name in names]
    original.clear("Bob")
    assert [len(original.rows(name)) for name in names] == [2, 0, 2, 2, 2, 2]


def test_many_rows_are_cleared_in_steps(original: SQLOriginal, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them."""
    monkeypatch.setattr("backscroll_langchain.sql_table.AT_ONCE", 2)
    write("s", *MESSAGES)
    original.clear("s")
    assert list(original.session_ids()) == ["first"]


def test_without_a_table_there_is_nothing(url: str, write: Write, original: SQLOriginal) -> None:
    """And none is made; that there is no session is told, since most likely the name is wrong."""
    missing = SQLOriginal.of(url, "no_such_table")
    missing.clear("s")
    assert missing.rows("s") == []
    with pytest.raises(StorageError, match="there is no table 'no_such_table'"):
        list(missing.session_ids())
    missing.close()


def test_rows_without_a_session_are_found(original: SQLOriginal, url: str, table: str) -> None:
    """And those of the empty one, which no store takes."""
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        for session_id in ("NULL", "''"):
            connection.execute(sqlalchemy.text(f"INSERT INTO {table} (session_id, message) VALUES ({session_id}, 'x')"))
    engine.dispose()
    assert sorted(original.session_ids(), key=str) == ["", None, "first"]


def test_a_table_of_another_program_is_told(url: str, write: Write, original: SQLOriginal, table: str) -> None:
    """With the column that it has not."""
    other = SQLOriginal.of(url, table, "no_such_column")
    for use in (lambda: other.rows("s"), lambda: other.clear("s"), lambda: list(other.session_ids())):
        with pytest.raises(StorageError, match="has no column 'no_such_column': give the table_name") as caught:
            use()
        assert caught.value.__context__ is None
    other.close()


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Nothing is written to a source."""
    path = tmp_path / "chat.db"
    with pytest.raises(StorageError, match="no such file"):
        SQLOriginal.of(f"sqlite:///{path}")
    assert not path.exists()


@pytest.mark.parametrize("text", ["secret", "nonsense://user:secret@host/db", "firebird+secret://host"])
def test_a_url_that_cannot_be_is_told(text: str) -> None:
    """Without repeating it."""
    with pytest.raises(InvalidURL, match="SQLAlchemy cannot open it") as caught:
        SQLOriginal.of(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sqlite+aiosqlite:///chat.db", "aiosqlite is an async driver: give a sync one, as sqlite:// alone"),
        ("sqlite:///chat.db?tablename=x", "is almost table_name"),
    ],
)
def test_a_url_that_another_one_is_meant_by_is_told(text: str, problem: str) -> None:
    """Before it is opened."""
    with pytest.raises(InvalidURL, match=problem):
        SQLOriginal.of(text)


def test_an_option_that_the_driver_has_not_is_told() -> None:
    """As an option, not as an error of the program."""
    original = SQLOriginal.of("mysql+pymysql://user:secret@127.0.0.1:1/test?foo=secret")
    with pytest.raises(InvalidURL, match="cannot take an option") as caught:
        original.rows("s")
    assert ("secret" in str(caught.value), caught.value.__context__) == (False, None)
    original.close()


def test_a_server_that_is_down_is_told() -> None:
    """Without its address and password."""
    original = SQLOriginal.of("mysql+pymysql://user:secret@127.0.0.1:1/test")
    with pytest.raises(Unavailable) as caught:
        original.rows("s")
    assert "127.0.0.1" not in str(caught.value)
    original.close()
