"""`TiDBChatMessageHistory` keeps what LangChain's own class wrote, on TiDB and on MariaDB."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pymysql
import pytest
import released
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder

import backscroll
from backscroll.errors import (
    InvalidArgument,
    InvalidMessage,
    InvalidURL,
    StorageError,
    Unavailable,
)
from backscroll.url import parse_url
from backscroll_conformance.containers import Server
from backscroll_langchain import ChatMessageHistory, TiDBChatMessageHistory
from backscroll_langchain.originals import UnreadableOriginal
from backscroll_langchain.sharing import close_all
from backscroll_langchain.sql_table import SQLOriginal
from backscroll_langchain.tidb_access import Table, checked_url, way_to
from backscroll_langchain.tidb_table import TableOriginal

Ask = Callable[..., list[tuple[Any, ...]]]

MESSAGES: list[BaseMessage] = [
    SystemMessage("be kind"),
    HumanMessage("hi!", name="bob", id="1"),
    AIMessage("", tool_calls=[{"name": "f", "args": {"a": [1, "ä"]}, "id": "c", "type": "tool_call"}]),
    ToolMessage("3", tool_call_id="c", artifact={"x": 1}),
]

COLUMNS = (
    "id INT AUTO_INCREMENT PRIMARY KEY, session_id VARCHAR(255), message TEXT, "
    "create_time TIMESTAMP DEFAULT CURRENT_TIMESTAMP"
)
"""Those of LangChain's class, where a table was made otherwise."""


@pytest.fixture(params=["tidb_server", "mariadb_server"])
def server(request: pytest.FixtureRequest) -> Server:
    """One of each kind."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def port(server: Server) -> int:
    """Where it is reached."""
    [host] = parse_url(server.url).hosts
    return host.port or 0


@pytest.fixture
def ask(port: int) -> Iterator[Ask]:
    """Asks the server as its administrator."""
    with closing(
        pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True, database="test", read_timeout=30)
    ) as connection:

        def ask(statement: str, *arguments: object) -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(statement, arguments or None)
                return list(cursor.fetchall())

        yield ask


@pytest.fixture
def url(port: int) -> Iterator[str]:
    """The connection string, as LangChain's class takes it."""
    yield f"mysql+pymysql://root@127.0.0.1:{port}/test"
    close_all()


@pytest.fixture
def table(ask: Ask) -> Iterator[str]:
    """The name of a table that nobody else has."""
    name = f"t_{uuid4().hex[:20]}"
    yield name
    for (found,) in ask("SELECT table_name FROM information_schema.tables WHERE table_name LIKE %s", f"%{name}%"):
        ask(f"DROP TABLE `{found}`")


def original_of(url: str, table: str) -> TableOriginal:
    """What LangChain's class wrote."""
    return TableOriginal(way_to(checked_url(url)), Table.of(table))


@contextmanager
def by_original(session_id: str, url: str, table: str) -> Iterator[Any]:
    """LangChain's class, whose transaction would else stay open, and with it hold the table."""
    history = released.TiDBChatMessageHistory(session_id, url, table_name=table)
    try:
        yield history
    finally:
        history.session.close()
        history.engine.dispose()


def written(session_id: str, url: str, table: str, *messages: BaseMessage) -> None:
    """Messages that LangChain's class wrote."""
    with by_original(session_id, url, table) as history:
        history.add_messages(messages)


@pytest.mark.filterwarnings("ignore:.*RunnableWithMessageHistory", "ignore:datetime.datetime.utcnow")
def test_the_program_of_langchains_documentation(url: str, session_id: str) -> None:
    """With only the import line changed: two messages, a turn by another object, four messages."""
    from langchain_core.runnables.history import RunnableWithMessageHistory

    history = TiDBChatMessageHistory(
        connection_string=url,
        session_id=session_id,
        earliest_time=datetime.utcnow(),  # noqa: DTZ003 - as it is documented
    )

    history.add_user_message("How's our feature going?")
    history.add_ai_message("It's going well. We are working on testing now. It will be released in Feb.")

    assert history.messages == [
        HumanMessage("How's our feature going?"),
        AIMessage("It's going well. We are working on testing now. It will be released in Feb."),
    ]

    prompt = ChatPromptTemplate.from_messages(
        [
            ("system", "You're an assistant who's good at coding. You're helping a startup build"),
            MessagesPlaceholder(variable_name="history"),
            ("human", "{question}"),
        ]
    )
    model: Any = FakeListChatModel(responses=["The feature will be released in Feb."])
    chain_with_history = RunnableWithMessageHistory(
        prompt | model,
        lambda session_id: TiDBChatMessageHistory(session_id=session_id, connection_string=url),
        input_messages_key="question",
        history_messages_key="history",
    )
    response = chain_with_history.invoke(
        {"question": "Today is Jan 1st. How many days until our feature is released?"},
        config={"configurable": {"session_id": session_id}},
    )
    assert response.content == "The feature will be released in Feb."

    history.reload_cache()
    assert [(message.type, message.content) for message in history.messages] == [
        ("human", "How's our feature going?"),
        ("ai", "It's going well. We are working on testing now. It will be released in Feb."),
        ("human", "Today is Jan 1st. How many days until our feature is released?"),
        ("ai", "The feature will be released in Feb."),
    ]


async def test_what_the_released_class_wrote_is_read_before_ours(url: str, table: str, session_id: str) -> None:
    """Equal, in order, in both forms, also through a window."""
    written(session_id, url, table, *MESSAGES)
    history = TiDBChatMessageHistory(session_id, url, table)
    await history.aadd_messages([HumanMessage("new")])
    expected = [*MESSAGES, HumanMessage("new")]
    for window in (None, 1, 2, 5, 6):
        history.window = window
        assert history.messages == await history.aget_messages() == expected[-(window or 5) :]
    with by_original(session_id, url, table) as before:
        assert before.messages == MESSAGES


async def test_clearing_clears_both(url: str, table: str, session_id: str, ask: Ask) -> None:
    """In both forms, and no other session."""
    written("neighbour", url, table, *MESSAGES)
    for form in ("sync", "async"):
        written(session_id, url, table, *MESSAGES)
        history = TiDBChatMessageHistory(session_id, url, table)
        history.add_user_message("new")
        if form == "sync":
            history.clear()
        else:
            await history.aclear()
        assert history.messages == []
        assert ask(f"SELECT session_id, COUNT(*) FROM `{table}` GROUP BY session_id") == [("neighbour", 4)]
    assert TiDBChatMessageHistory("neighbour", url, table).messages == MESSAGES


def test_nothing_is_written_in_the_old_form(url: str, table: str, session_id: str, ask: Ask) -> None:
    """Neither is its table made."""
    history = TiDBChatMessageHistory(session_id, url, table)
    history.add_user_message("new")
    assert history.messages == [HumanMessage("new")]
    history.clear()
    tables = {name for (name,) in ask("SHOW TABLES") if table in name}
    assert tables == {f"backscroll_{table}_{name}" for name in ("message", "schema", "session")}


def test_a_table_of_ours_is_none_of_the_original(url: str, table: str, session_id: str) -> None:
    """Who names it is told so."""
    TiDBChatMessageHistory(session_id, url, table).add_user_message("a")
    ours = TiDBChatMessageHistory(session_id, url, f"backscroll_{table}_message")
    with pytest.raises(StorageError, match="is none that LangChain's class made"):
        _ = ours.messages
    with pytest.raises(StorageError, match="is none that LangChain's class made"):
        ours.clear()
    with pytest.raises(StorageError, match="is none that LangChain's class made"):
        list(original_of(url, f"backscroll_{table}_message").session_ids())
    assert TiDBChatMessageHistory(session_id, url, table).messages == [HumanMessage("a")]


def test_each_table_has_sessions_of_its_own(url: str, table: str, session_id: str) -> None:
    """Whatever names it that the original takes."""
    for name in (table, f"test.{table}b", f"`{table}-%s`", f"{table}$ä", f"{table}{'x' * 40}"):
        written(session_id, url, name, *MESSAGES)
        history = TiDBChatMessageHistory(session_id, url, name)
        assert history.messages == MESSAGES
        history.add_user_message(name)
        assert history.messages == [*MESSAGES, HumanMessage(name)]
        history.clear()
        assert history.messages == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a; DROP TABLE b",
        "a WHERE 1=1 --",
        "a` WHERE 1=1 -- ",
        "`a` `b`",
        "a.b.c",
        "a b",
        "a-b",
        "a/**/",
        "`a\0`",
        "a\n",
        "x" * 65,
        "a,b",
        "(SELECT 1)",
        7,
        None,
    ],
)
def test_a_table_name_that_is_more_is_refused_at_once(name: Any) -> None:
    """Before anything is opened."""
    with pytest.raises(InvalidArgument, match="table_name"):
        TiDBChatMessageHistory("s", "mysql+pymysql://root@localhost:1/test", name)


def test_an_option_that_the_driver_has_not_is_refused_at_once() -> None:
    """With the nearest that it has, without repeating it: a piece of a password may look like one."""
    for text, problem in (("foo%3Dsecret=bar", "PyMySQL has not$"), ("conect_timeout=3", "is it connect_timeout$")):
        with pytest.raises(InvalidURL, match=problem) as caught:
            TiDBChatMessageHistory("s", f"mysql+pymysql://root:pw@localhost:1/test?{text}")
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("option", ["read_timeout=secret", "local_infile=secret", "use_unicode=secret"])
def test_an_option_that_says_what_it_cannot_is_refused_at_once(option: str) -> None:
    """Without repeating it, nor does what led to the error."""
    with pytest.raises(InvalidURL, match=r"says something else$") as caught:
        TiDBChatMessageHistory("s", f"mysql+pymysql://root:pw@localhost:1/test?{option}")
    assert (caught.value.__context__, "secret" in str(caught.value)) == (None, False)


def test_any_moment_may_be_the_earliest(url: str, table: str, session_id: str) -> None:
    """All that are one in UTC; the others are refused at once."""
    written(session_id, url, table, *MESSAGES)
    for moment, expected in ((datetime.min, MESSAGES), (datetime.max, [])):  # noqa: DTZ901 - a time without a zone
        assert TiDBChatMessageHistory(session_id, url, table, moment).messages == expected
    for moment, hours in ((datetime.min, 1), (datetime.max, -1)):  # noqa: DTZ901
        with pytest.raises(InvalidArgument, match="earliest_time"):
            TiDBChatMessageHistory(session_id, url, table, moment.replace(tzinfo=timezone(timedelta(hours=hours))))


@pytest.mark.parametrize("moment", ["2024-01-01' OR '1'='1", "2024-01-01", 0, 1.5])
def test_an_earliest_time_that_is_none_is_refused_at_once(moment: Any) -> None:
    """It never stands in a statement."""
    with pytest.raises(InvalidArgument, match="earliest_time: must be a datetime"):
        TiDBChatMessageHistory("s", "mysql+pymysql://root@localhost:1/test", earliest_time=moment)


def test_names_of_stores_stay_apart() -> None:
    """And are such as a store takes."""
    names = ["a", "a_", "A", "`a-b`", "`a``b`", "ä", "x" * 36, "x" * 37, "x" * 64]
    prefixes = {Table.of(name).store_prefix for name in names}
    assert len(prefixes) == len(names)
    assert all(len(prefix) <= 48 for prefix in prefixes)


async def test_the_bound_is_inclusive_and_in_microseconds(url: str, table: str, session_id: str) -> None:
    """In both forms; a time without a zone is UTC."""
    history = TiDBChatMessageHistory(session_id, url, table)
    for text in ("a", "b", "c"):
        history.add_user_message(text)
    records = [one for one in history.store.read(session_id) if isinstance(one, backscroll.Record)]
    bound = records[1].stored_at
    elsewhere = bound.astimezone(timezone(timedelta(hours=5, minutes=30)))
    for moment in (bound, bound.replace(tzinfo=None), elsewhere):
        bounded = TiDBChatMessageHistory(session_id, url, table, moment)
        assert bounded.messages == await bounded.aget_messages() == [HumanMessage("b"), HumanMessage("c")]
    later = bound + timedelta(microseconds=1)
    assert TiDBChatMessageHistory(session_id, url, table, later).messages == [HumanMessage("c")]


def test_the_bound_takes_all_rows_of_its_second(url: str, table: str, session_id: str, ask: Ask) -> None:
    """The original kept no more of a row's time, and lost what was written after the bound within that second."""
    ask("SET time_zone = '+00:00'")
    written(session_id, url, table, *(HumanMessage(text) for text in "abc"))
    for text, moment in (("a", "10:00:04"), ("b", "10:00:05"), ("c", "10:00:06")):
        ask(f"UPDATE {table} SET create_time = '2026-01-01 {moment}' WHERE message LIKE %s", f'%"content": "{text}"%')
    bound = datetime(2026, 1, 1, 10, 0, 5, 700_000, tzinfo=UTC)
    for moment in (bound, bound.replace(tzinfo=None), bound.astimezone(timezone(timedelta(hours=-8)))):
        history = TiDBChatMessageHistory(session_id, url, table, moment)
        assert [message.content for message in history.messages] == ["b", "c"]
    assert len(TiDBChatMessageHistory(session_id, url, table).messages) == 3


def test_a_bound_behind_all_rows_does_not_hide_them_from_others(url: str, table: str, session_id: str) -> None:
    """That there is nothing from a time on is not that there is nothing."""
    written(session_id, url, table, *MESSAGES)
    future = datetime.now(UTC) + timedelta(days=1)
    assert TiDBChatMessageHistory(session_id, url, table, future).messages == []
    assert TiDBChatMessageHistory(session_id, url, table).messages == MESSAGES
    without = TiDBChatMessageHistory("other", url, table, future)
    assert without.messages == []
    assert without._shared.is_without_original("other")


def test_rows_of_several_servers_are_in_the_order_of_their_times(
    url: str, table: str, session_id: str, ask: Ask
) -> None:
    """Each server of TiDB numbers them in a range of its own."""
    written(session_id, url, table, HumanMessage("b"), HumanMessage("a"))
    ask(f"UPDATE {table} SET create_time = '2026-01-01 10:00:00' WHERE message LIKE %s", '%"a"%')
    assert TiDBChatMessageHistory(session_id, url, table).messages == [HumanMessage("a"), HumanMessage("b")]


def test_reloading_finds_what_the_original_wrote_meanwhile(url: str, table: str, session_id: str) -> None:
    """Else it is remembered that there is nothing."""
    history = TiDBChatMessageHistory(session_id, url, table)
    assert history.messages == []
    written(session_id, url, table, *MESSAGES)
    assert history.messages == []
    history.reload_cache()
    assert history.messages == MESSAGES


def test_sessions_that_the_original_would_have_merged_stay_apart(url: str, table: str, ask: Ask) -> None:
    """A collation takes case and spaces for the same; each is listed, read and cleared by itself."""
    names = ["bob", "Bob", "bob ", "BOB", "böb", "bo\u0308b", "bob%", "b_b", "bob'", 'bob"', "bob\\", "x" * 255]
    for name in names:
        written(name, url, table, HumanMessage(name))
        TiDBChatMessageHistory(name, url, table).add_user_message("new")
    assert sorted(original_of(url, table).session_ids()) == sorted(names)
    for name in names:
        history = TiDBChatMessageHistory(name, url, table)
        assert history.messages == [HumanMessage(name), HumanMessage("new")]
    TiDBChatMessageHistory("Bob", url, table).clear()
    assert sorted(original_of(url, table).session_ids()) == sorted({*names} - {"Bob"})


def test_a_session_that_the_original_would_have_cut_is_kept_whole(url: str, table: str) -> None:
    """It took 255 characters."""
    names = ["x" * 256, "x" * 257, "x" * 512]
    for name in names:
        TiDBChatMessageHistory(name, url, table).add_user_message(str(len(name)))
    found = [TiDBChatMessageHistory(name, url, table).messages for name in names]
    assert found == [[HumanMessage("256")], [HumanMessage("257")], [HumanMessage("512")]]


@pytest.mark.parametrize("charset", ["ascii", "latin1", "utf8mb3", "gbk", "utf8mb4"])
def test_a_session_that_no_row_can_name_is_ours_alone(
    url: str, table: str, server: Server, ask: Ask, charset: str
) -> None:
    """The servers have no comparison with a text that the character set of the table lacks."""
    if charset == "utf8mb3" and "tidb" in server.image:
        charset = "utf8"  # TiDB's name for it
    ask(f"CREATE TABLE {table} ({COLUMNS}) CHARACTER SET {charset}")
    ask(f"INSERT INTO {table} (session_id, message) VALUES ('kept', '{{}}')")
    for name in ("é", "日本", "😀"):
        history = TiDBChatMessageHistory(name, url, table)
        history.add_user_message("a")
        assert history.messages == [HumanMessage("a")]
        history.clear()
        assert history.messages == []
        for original in (original_of(url, table), SQLOriginal.of(url, table)):
            assert original.rows(name) == []
            original.close()
    assert [*original_of(url, table).session_ids()] == ["kept"]


def test_rows_without_a_session_that_could_be_are_listed(url: str, table: str, ask: Ask) -> None:
    """So that moving them can tell that they stay."""
    ask(f"CREATE TABLE {table} ({COLUMNS.replace('VARCHAR', 'VARBINARY')})")
    ask(f"INSERT INTO {table} (session_id, message) VALUES (NULL, '{{}}'), ('', '{{}}'), (%s, '{{}}')", b"\xff")
    assert list(original_of(url, table).session_ids()) == [None, "", "\udcff"]


def test_many_sessions_are_listed_in_pages(url: str, table: str, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, and many rows are cleared in steps."""
    monkeypatch.setattr("backscroll_langchain.tidb_table.AT_ONCE", 3)
    written("first", url, table, HumanMessage("a"))
    values = ", ".join(f"('{number:02}', '{{}}')" for number in [*range(10), *range(10)])
    ask(f"INSERT INTO {table} (session_id, message) VALUES {values}")
    original = original_of(url, table)
    assert list(original.session_ids()) == [*(f"{number:02}" for number in range(10)), "first"]
    for _ in range(3):
        ask(f"INSERT INTO {table} (session_id, message) VALUES ('00', '{{}}'), ('00', '{{}}')")
    original.clear("00")
    assert original.rows("00") == []
    assert len(original.rows("01")) == 2
    original.close()


def test_a_damaged_row_is_told_with_its_place(url: str, table: str, session_id: str, ask: Ask) -> None:
    """The rest is kept; JSON the server sees to, but not what stands in it."""
    with by_original(session_id, url, table) as before:
        before.add_user_message("a")
        ask(f"INSERT INTO {table} (session_id, message) VALUES (%s, %s)", session_id, '{"type": "human"}')
        before.add_user_message("b")
    [(number,)] = ask(f"SELECT id FROM {table} WHERE message NOT LIKE %s", "%data%")
    history = TiDBChatMessageHistory(session_id, url, table)
    with pytest.raises(UnreadableOriginal, match=f"table `{table}`, id {number}: ") as caught:
        _ = history.messages
    assert [*map(str, history.read())][1] == str(caught.value)
    assert [history.read()[0], history.read()[2]] == [HumanMessage("a"), HumanMessage("b")]


def test_a_message_that_cannot_be_stored_is_refused_with_the_path(url: str, table: str, session_id: str) -> None:
    """The original would have said so in a log, and gone on without it."""
    history = TiDBChatMessageHistory(session_id, url, table)
    with pytest.raises(InvalidMessage, match=r"messages\[0\]\.additional_kwargs\.x"):
        history.add_message(HumanMessage("a", additional_kwargs={"x": float("inf")}))
    assert history.messages == []


async def test_a_server_that_is_down_is_told_at_the_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when the history is made; without its address and password."""
    history = TiDBChatMessageHistory("s", "mysql+pymysql://user:secret@127.0.0.1:1/test")
    for use in (history.clear, lambda: history.store.ping(timeout=0.2)):
        with pytest.raises(Unavailable) as caught:
            use()
        assert "127.0.0.1" not in str(caught.value)
        assert "secret" not in str(caught.value)
    with pytest.raises(Unavailable):
        await history.aclear()


def test_a_wrong_password_is_told(url: str, table: str, session_id: str) -> None:
    """Without repeating it."""
    wrong = url.replace("root@", "nobody:wrong-one@")
    history = TiDBChatMessageHistory(session_id, wrong, table)
    for use in (lambda: history.messages, history.clear):
        with pytest.raises(StorageError, match="user and password") as caught:
            use()
        assert "wrong-one" not in f"{caught.value!r}{history!r}"
    assert caught.value.__context__ is None


@pytest.mark.parametrize("text", ["", "postgresql://user:secret@host/db", "nonsense secret", None, "sqlite://"])
def test_a_connection_string_for_another_database_is_refused_at_once(text: Any) -> None:
    """Without repeating it."""
    with pytest.raises(InvalidURL, match="connection_string: expected mysql") as caught:
        TiDBChatMessageHistory("s", text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("query", ["", "?charset=utf8mb4", "?charset=latin1", "?read_timeout=7&program_name=x"])
async def test_the_options_of_the_driver_go_on(url: str, table: str, session_id: str, query: str) -> None:
    """In the connection string, as LangChain's class passes them on."""
    written(session_id, url + query, table, HumanMessage("ä"))
    history = TiDBChatMessageHistory(session_id, url + query, table)
    await history.aadd_messages([AIMessage("b")])
    assert history.messages == [HumanMessage("ä"), AIMessage("b")]


def test_other_drivers_are_taken_for_pymysql() -> None:
    """And ports as each of the names has them."""
    found = {
        text: str(checked_url(text))
        for text in ("mysql+mysqldb://u@h/db", "tidb://u@h/db", "mariadb://u@/db", "mysql://u@h:4000/db")
    }
    assert found == {
        "mysql+mysqldb://u@h/db": "mysql+pymysql://u@h:3306/db",
        "tidb://u@h/db": "mysql+pymysql://u@h:4000/db",
        "mariadb://u@/db": "mysql+pymysql://u@localhost:3306/db",
        "mysql://u@h:4000/db": "mysql+pymysql://u@h:4000/db",
    }


def test_a_server_without_tls_is_refused_where_it_was_asked_for(mariadb_server: Server, session_id: str) -> None:
    """By TiDB Cloud's own options, which the original's driver drops; for the store and for the look alike."""
    [host] = parse_url(mariadb_server.url).hosts
    url = f"mysql+pymysql://root@127.0.0.1:{host.port}/test?ssl_verify_cert=true&ssl_verify_identity=true"
    history = TiDBChatMessageHistory(session_id, url)
    for use in (lambda: history.messages, history.clear):
        with pytest.raises(StorageError, match="no TLS"):
            use()
    close_all()


async def test_two_hundred_sessions_use_one_pool(
    url: str, table: str, session_id: str, ask: Ask, server: Server
) -> None:
    """A connection for the store, and one for the look at the original; in the async form as many as it has threads."""
    user = f"u_{uuid4().hex[:12]}"
    ask(f"CREATE USER {user}")
    ask(f"GRANT ALL ON test.* TO {user}")
    own = url.replace("root@", f"{user}@")

    def connections() -> int:
        return sum(row[1] == user for row in ask("SHOW PROCESSLIST"))

    for number in range(200):
        TiDBChatMessageHistory(f"{session_id}-{number}", own, table).add_user_message("a")
        assert len(TiDBChatMessageHistory(f"{session_id}-{number}", own, table).messages) == 1
    assert connections() == 2
    for number in range(200):
        assert len(await TiDBChatMessageHistory(f"{session_id}-{number}", own, table).aget_messages()) == 1
    assert connections() <= 2 + 8
    close_all()
    ask(f"DROP USER {user}")


def test_the_store_is_found_by_other_programs(url: str, table: str, session_id: str) -> None:
    """With the prefix that the documentation names."""
    TiDBChatMessageHistory(session_id, url, table).add_user_message("a")
    with backscroll.open(f"{url}?prefix=backscroll_{table}_") as store:
        assert ChatMessageHistory(store, session_id).messages == [HumanMessage("a")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("query", ["", "?program_name=x"])
def test_it_goes_on_after_a_fork(url: str, table: str, session_id: str, query: str) -> None:
    """Parent and child have connections of their own, however they are made."""
    written(session_id, url, table, HumanMessage("before"))
    history = TiDBChatMessageHistory(session_id, url + query, table)
    history.add_user_message("a")
    assert len(history.messages) == 2
    child = os.fork()
    if not child:
        _exit_with(lambda: history.add_user_message("b"), lambda: history.messages)
    for _ in range(20):
        assert [message.content for message in history.messages][:2] == ["before", "a"]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [message.content for message in history.messages] == ["before", "a", "b"]


def _exit_with(write: Callable[[], None], read: Callable[[], list[BaseMessage]]) -> None:
    """Nothing of the test goes on in the child."""
    code = 1
    try:
        write()
        code = any([message.content for message in read()] != ["before", "a", "b"] for _ in range(20))
    finally:
        os._exit(code)
