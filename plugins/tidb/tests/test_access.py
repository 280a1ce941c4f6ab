"""The way to the server: what URLs, options and an engine may say, and what is told where it leads nowhere."""

import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pymysql.constants import CLIENT
from specs import message, parts, texts
from sqlalchemy import Engine

import backscroll
from backscroll import Store
from backscroll.errors import InvalidOption, InvalidURL, StorageError, Unavailable
from backscroll_conformance.containers import Server

Ask = Callable[..., list[tuple[Any, ...]]]
Opened = Callable[..., Store]
Kinds = type[Exception] | tuple[type[Exception], ...]

SCHEMES = ["tidb", "mysql", "mysql+pymysql", "mariadb", "mariadb+pymysql"]
BESIDES = "/chat?timeout=0.2&setup=never"


class AsyncEngine:
    """What SQLAlchemy's looks like from here."""

    def __init__(self, engine: Engine) -> None:
        self.sync_engine, self.pool, self.dialect = engine, engine.pool, engine.dialect


@contextmanager
def engine_on(server: Server, **options: Any) -> Iterator[Engine]:
    """An engine of an application."""
    host, port = parts(server)
    engine = sqlalchemy.create_engine(f"mysql+pymysql://root@{host}:{port}/test", **options)
    try:
        yield engine
    finally:
        engine.dispose()


def pool_of(engine: Engine) -> Any:
    """Its pool, which is a QueuePool."""
    return engine.pool


@contextmanager
def answering(talk: Callable[[socket.socket], object]) -> Iterator[int]:
    """A port at which something else than a database talks to whoever comes."""
    with socket.create_server(("localhost", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):  # the end
                while True:
                    client, _ = listener.accept()
                    with client, suppress(OSError):
                        talk(client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


async def both(store: Store, session_id: str = "s") -> None:
    """Append by both forms, and see both messages."""
    store.append(session_id, message("a"))
    await store.aappend(session_id, message("b"))
    assert texts(store, session_id) == ["a", "b"]


async def refused(store: Store, kind: Kinds, why: str, **options: Any) -> Exception:
    """Check that both forms are refused with this error, and return that of the sync one."""
    with pytest.raises(kind, match=why) as caught:
        store.append("refused", message("a"), **options)
    with pytest.raises(kind, match=why):
        await store.aappend("refused", message("a"), **options)
    return caught.value


# What is refused before anything is asked.


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("", "names one server"),
        ("///chat", "names one server"),
        ("//chat:s3cret@one,two:4000/chat", "names one server"),
        ("//chat:s3cret@localhost", "names no database"),
        ("//chat:s3cret@localhost:4000/", "names no database"),
    ],
)
def test_a_url_names_one_server_and_a_database(scheme: str, rest: str, why: str) -> None:
    """Any other is refused when it is opened, by an error that shows how it has to be and repeats nothing of it."""
    with pytest.raises(InvalidURL, match=why) as caught:
        backscroll.open(f"{scheme}:{rest}")
    assert "tidb://user:password@host:4000/database" in str(caught.value)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", ["prefix", "schema"])
@pytest.mark.parametrize("value", ["a`b", "a b", "a'b", 'a"b', "a;b", "a.b", "a-b", "ä", "a\n", "\0", "", "a" * 49, 5])
def test_names_hold_nothing_that_would_have_to_be_quoted(name: str, value: object) -> None:
    """Nor are they longer than each server takes."""
    with pytest.raises(InvalidOption, match=f"{name}: expected 1 to 48 letters, digits and _, of ASCII"):
        backscroll.open("tidb://localhost/chat", **{name: value})


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"charset": "latin1"}, "charset: expected one of utf8mb4"),
        ({"ssl_verify_cert": "false", "ssl_verify_identity": "true"}, "without ssl_verify_cert there is nothing"),
        ({"ssl_verify_cert": "maybe"}, "ssl_verify_cert: expected true or false"),
        ({"ssl_verify_identity": 1}, "ssl_verify_identity: expected true or false"),
        ({"ssl_ca": "/nowhere.pem"}, "ssl_ca: expected the path of a file that is there"),
        ({"ssl_ca": __file__}, "the file cannot be read as what it should be"),
        ({"ssl_cert": __file__}, "the file cannot be read as what it should be"),
        ({"ssl_key": __file__}, "ssl_key: give the certificate, too, as ssl_cert"),
        ({"ssl_verify_certs": "true"}, "ssl_verify_cert"),
        ({"ssl_mode": "VERIFY_IDENTITY"}, "ssl_mode"),
        ({"durability": "disk"}, "durability: expected one of process, server"),
        ({"engine": "engine"}, "engine: expected an object"),
    ],
    ids=str,
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], why: str) -> None:
    """When the store is opened, by an error that names the option and what is expected."""
    with pytest.raises(InvalidOption, match=why):
        backscroll.open("tidb://localhost/chat", **options)


def test_a_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    """It would else be asked for at the terminal, and the process wait for an answer."""
    leaf = trustme.CA().issue_cert("client@example.org")
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"s3cret"))
    (tmp_path / "key").write_bytes(secret)
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "cert"))
    with pytest.raises(InvalidOption, match="the file cannot be read as what it should be"):
        backscroll.open("tidb://localhost/chat", ssl_cert=str(tmp_path / "cert"), ssl_key=str(tmp_path / "key"))


@pytest.mark.parametrize(("scheme", "port"), [(one, 4000 if one == "tidb" else 3306) for one in SCHEMES])
def test_each_kind_has_its_own_port(scheme: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the URL gives none; given one, that is taken."""
    asked = set()

    def create_connection(address: tuple[str, int], *_: object) -> None:
        asked.add(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", create_connection)
    for host in ("one", "two:5", "[::1]"):
        with (
            backscroll.open(f"{scheme}://{host}{BESIDES}") as store,
            pytest.raises(Unavailable, match=r"cannot connect \(Connection refused\)"),
        ):
            store.count("s")
    assert asked == {("one", port), ("two", 5), ("::1", port)}


# What the server refuses.


def test_a_schema_is_chosen_instead_of_the_urls_database(server: Server, opened: Opened, ask: Ask) -> None:
    """Or where the URL has none; all tables are there, and none is in the other one."""
    name = f"chosen_{uuid4().hex[:8]}"
    ask(f"CREATE DATABASE {name}")
    try:
        opened(schema=name).append("s", message("a"))
        assert texts(opened(server.url.removesuffix("/test"), schema=name)) == ["a"]
        assert ask("SHOW TABLES") == []
        assert ask(f"SELECT COUNT(*) FROM {name}.backscroll_message") == [(1,)]
    finally:
        ask(f"DROP DATABASE {name}")


@pytest.fixture
def user(ask: Ask) -> Iterator[str]:
    """A user with the password ``s3cret`` and the rights to the database."""
    name = f"u{uuid4().hex[:8]}"
    ask(f"CREATE USER {name} IDENTIFIED BY 's3cret'")
    ask(f"GRANT ALL ON test.* TO {name}")
    yield name
    ask(f"DROP USER {name}")


def url_for(server: Server, user: str, database: str = "test") -> str:
    """The URL of a server for a user."""
    host, port = parts(server)
    return f"tidb://{user}@{host}:{port}/{database}"


async def test_a_wrong_password_is_told_and_not_shown(server: Server, opened: Opened, user: str) -> None:
    """The right one works, and neither is in what is shown of store or error."""
    right, wrong = opened(url_for(server, f"{user}:s3cret")), opened(url_for(server, f"{user}:wr0ng"))
    await both(right)
    error = await refused(wrong, StorageError, "^tidb: 1045: it does not accept user and password")
    shown = "".join([*traceback.format_exception(error), repr(error), repr(right), repr(wrong)])
    assert "s3cret" not in shown
    assert "wr0ng" not in shown


async def test_what_is_encoded_in_a_password_is_decoded(server: Server, opened: Opened, user: str, ask: Ask) -> None:
    """Each character may stand in one."""
    ask(f"ALTER USER {user} IDENTIFIED BY ':@/?#% ä€'")
    await both(opened(url_for(server, f"{user}:%3A%40%2F%3F%23%25%20%C3%A4%E2%82%AC")))


async def test_a_database_that_is_not_there_is_told_of(server: Server, opened: Opened) -> None:
    """With what to do."""
    await refused(opened(url_for(server, "root", "nowhere")), StorageError, "1049: .*: CREATE DATABASE it")


async def test_a_database_of_others_is_told_of(server: Server, opened: Opened, user: str) -> None:
    """With what to do."""
    await refused(opened(url_for(server, f"{user}:s3cret", "mysql")), StorageError, "1044: .*: GRANT it")


async def test_a_user_who_is_locked_is_not_tried_again(server: Server, opened: Opened, user: str, ask: Ask) -> None:
    """What a server answers with an error of its own is not taken for one that hung up."""
    ask(f"ALTER USER {user} ACCOUNT LOCK")
    await refused(opened(url_for(server, f"{user}:s3cret")), StorageError, "^tidb: (3118|4151): ")


# What is no server.


@pytest.fixture
def opened_at() -> Iterator[Callable[[int], Store]]:
    """Opens stores at a port, and closes them."""
    with ExitStack() as stack:
        yield lambda port: stack.enter_context(backscroll.open(f"tidb://root:s3cret@localhost:{port}/test"))


def elapsed(since: float) -> float:
    """The seconds since a moment."""
    return time.monotonic() - since


async def test_a_server_that_is_not_there_is_told_of(opened_at: Callable[[int], Store]) -> None:
    """The call ends with its time, and says what to look at."""
    began = time.monotonic()
    await refused(opened_at(1), Unavailable, r"\(Connection refused\): is the server running", timeout=0.3)
    assert elapsed(began) < 8


async def test_a_port_that_says_nothing_keeps_nobody_waiting(opened_at: Callable[[int], Store]) -> None:
    """The call ends with its time, whether somebody takes the connection or nobody does."""
    with socket.create_server(("localhost", 0)) as listener:
        store = opened_at(listener.getsockname()[1])
        began = time.monotonic()
        with pytest.raises(Unavailable, match="no answer in time"):
            store.append("s", message("a"), timeout=0.5)
        assert 0.4 < elapsed(began) < 8
        began = time.monotonic()
        with pytest.raises(Unavailable, match="no answer"):
            await store.aappend("s", message("a"), timeout=0.5)
        assert 0.4 < elapsed(began) < 8


def trickle(client: socket.socket) -> None:
    """Say a byte at a time of a greeting that never ends."""
    client.settimeout(0.05)
    client.sendall(b"\xff\xff\0\0")
    end = time.monotonic() + 5
    while time.monotonic() < end:
        client.sendall(b"\n")
        with suppress(TimeoutError):
            if not client.recv(100):
                return


async def test_a_port_that_says_little_at_a_time_keeps_nobody_waiting(opened_at: Callable[[int], Store]) -> None:
    """The time of a call does not begin anew with each byte."""
    with answering(trickle) as port:
        began = time.monotonic()
        await refused(opened_at(port), Unavailable, "no answer", timeout=0.5)
        assert 0.8 < elapsed(began) < 4.5


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "it hung up"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", ""),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ""),
        (b"\x15\x03\x03\x00\x02\x02\x0a", ""),
        (b"\x05\0\0\0\x0a8.0\0", ""),
        (b"\x01\0\0\0\x0a", ""),
        (b"\x17\0\0\0\xff\x10\x04Too many connections", "1040: it has too many connections"),
    ],
)
async def test_a_port_of_something_else_is_told_of(opened_at: Callable[[int], Store], said: bytes, why: str) -> None:
    """Whatever it says before it hangs up, the error is one of ours, and in time."""
    with answering(lambda client: client.sendall(said)) as port:
        began = time.monotonic()
        error = await refused(opened_at(port), (Unavailable, StorageError), f"^tidb: .*{why}", timeout=0.3)
        assert elapsed(began) < 8
        assert isinstance(error, Unavailable) or not why


# An engine brought along.


@pytest.mark.parametrize("kind", ["object", "class", "other database", "async"])
def test_an_engine_of_another_kind_is_refused(kind: str) -> None:
    """In the words of SQLAlchemy, when the store is opened."""
    sqlite, mysql = sqlalchemy.create_engine("sqlite://"), sqlalchemy.create_engine("mysql+pymysql://localhost/test")
    kinds = {"object": object(), "class": Engine, "other database": sqlite, "async": AsyncEngine(mysql)}
    with pytest.raises(InvalidOption, match="engine: expected an Engine of SQLAlchemy that uses PyMySQL"):
        backscroll.open("tidb:", engine=kinds[kind])


@pytest.mark.parametrize(
    ("url", "options", "why"),
    [
        ("tidb://localhost/test", {}, "the URL names a server or a database, too: open tidb: alone"),
        ("tidb:", {"ssl_verify_cert": "true"}, "give what is for TLS to it"),
        ("tidb:?ssl_verify_identity=false", {}, "give what is for TLS to it"),
    ],
)
def test_an_engine_alone_says_where_the_server_is(url: str, options: dict[str, str], why: str) -> None:
    """Whatever else would have a say in it is refused."""
    engine = sqlalchemy.create_engine("mysql+pymysql://root@localhost/test")
    with pytest.raises(InvalidOption, match=why):
        backscroll.open(url, engine=engine, **options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"connect_args": {"client_flag": CLIENT.MULTI_STATEMENTS}},
        {"connect_args": {"client_flag": CLIENT.MULTI_STATEMENTS, "read_timeout": 77, "write_timeout": 78}},
        {"isolation_level": "AUTOCOMMIT"},
        {"isolation_level": "READ COMMITTED", "pool_pre_ping": True},
    ],
    ids=str,
)
async def test_an_engine_is_used_and_left_as_it_was(server: Server, ask: Ask, options: dict[str, Any]) -> None:
    """By both forms; its one connection goes on, with its autocommit and its times, and nothing is begun on it."""

    def look() -> tuple[Any, ...]:
        with closing(engine.raw_connection()) as lent:
            one: Any = lent.dbapi_connection
            return one.thread_id(), one.get_autocommit(), one._read_timeout, one._write_timeout, one.server_status & 1

    with engine_on(server, pool_size=1, max_overflow=0, **options) as engine:
        before = look()
        store = backscroll.open("tidb:", engine=engine)
        await both(store)
        store.append("s", [message("c")], turn_id=uuid4())
        assert await store.acount("s") == 3
        assert look() == before
        store.delete("s")
        await store.aclose()
        assert look() == before
        assert pool_of(engine).checkedout() == 0
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT COUNT(*) FROM backscroll_message")).scalar() == 0


async def test_a_transaction_of_the_application_is_its_own(server: Server, ask: Ask) -> None:
    """What a store does while one is under way is neither part of it nor taken back with it."""
    with engine_on(server, pool_size=2, max_overflow=0) as engine, backscroll.open("tidb:", engine=engine) as store:
        store.setup()
        ask("CREATE TABLE theirs (id INT PRIMARY KEY)")
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("INSERT INTO theirs VALUES (1)"))
            await both(store)
            connection.rollback()
        assert texts(store) == ["a", "b"]
        assert ask("SELECT COUNT(*) FROM theirs") == [(0,)]
        await store.aclose()


async def test_an_engine_that_was_disposed_of_connects_again(server: Server, ask: Ask) -> None:
    """Its new pool is the one that is used then."""
    with engine_on(server, pool_size=1, max_overflow=0) as engine:
        store = backscroll.open("tidb:", engine=engine)
        store.append("s", message("a"))
        engine.dispose()
        await store.aappend("s", message("b"))
        assert texts(store) == ["a", "b"]
        assert pool_of(engine).checkedin() == 1
        await store.aclose()


async def test_an_engine_without_a_free_connection_is_told_of(server: Server, ask: Ask) -> None:
    """With what to raise; once one is free again, it is used."""
    with (
        engine_on(server, pool_size=1, max_overflow=0, pool_timeout=0.1) as engine,
        backscroll.open("tidb:", engine=engine) as store,
    ):
        store.setup()
        with engine.connect():
            await refused(store, Unavailable, "raise its pool_size or max_overflow", timeout=0.3)
        store.append("s", message("a"))
        assert texts(store) == ["a"]
