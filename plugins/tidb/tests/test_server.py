"""What only these servers do: modes, limits, rights, time zones, and what others do meanwhile."""

import json
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import attrs
import pymysql
import pytest
from conftest import Ask, Opened
from pymysql.constants import CLIENT
from specs import eventually, message, parts, texts
from sqlalchemy import create_engine

import backscroll
from backscroll.backend import Deadline, Turn, Window
from backscroll.errors import (
    MessageTooLarge,
    SchemaError,
    StorageError,
    TurnIdReused,
    Unavailable,
    VersionConflict,
)
from backscroll_conformance.containers import Server
from backscroll_tidb import backend as backend_module
from backscroll_tidb.layout import Layout
from backscroll_tidb.refusals import NO_MULTI_STATEMENTS, SYNTAX

MODES = [
    "",
    "STRICT_TRANS_TABLES",
    "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT",
    "STRICT_ALL_TABLES,NO_UNSIGNED_SUBTRACTION,NO_ZERO_DATE,NO_ZERO_IN_DATE",
    "STRICT_ALL_TABLES,SIMULTANEOUS_ASSIGNMENT",
]


def go_through(store: Any) -> None:
    """All that an append can meet."""
    store.append("s", [message("a"), message("b")], turn_id="first")
    assert store.append("s", message("c"), expected_version=2).seqs == (2,)
    assert store.append("s", [message("a"), message("b")], turn_id="first").duplicate
    assert store.append("s", [message("a"), message("b")], turn_id="first", expected_version=9).seqs == (0, 1)
    with pytest.raises(VersionConflict) as caught:
        store.append("s", message("d"), expected_version=2)
    assert caught.value.current == 3
    with pytest.raises(VersionConflict):
        store.append("absent", message("d"), expected_version=2)
    with pytest.raises(TurnIdReused):
        store.append("s", message("other"), turn_id="first")
    assert texts(store) == ["a", "b", "c"]
    assert store.version("absent") == 0


def test_a_conditional_turn_that_landed_is_known_after_another_one(opened: Opened) -> None:
    """Its repeat is a duplicate, although the version has moved on."""
    store = opened()
    store.append("s", message("before"))
    store.append("s", message("mine"), turn_id="mine", expected_version=1)
    store.append("s", message("another"))
    again = store.append("s", message("mine"), turn_id="mine", expected_version=1)
    assert (again.seqs, again.version, again.duplicate) == ((1,), 2, True)
    assert texts(store) == ["before", "mine", "another"]


def test_a_turn_is_known_after_a_clear(opened: Opened) -> None:
    """Its repeat does not bring back what was cleared."""
    store = opened()
    store.append("s", message("mine"), turn_id="mine")
    store.clear("s")
    assert store.append("s", message("mine"), turn_id="mine").duplicate
    assert texts(store) == []
    assert store.append("s", message("next")).seqs == (1,)


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "together"])
@pytest.mark.parametrize("mode", MODES)
def test_the_sql_mode_of_an_engine_brought_along_does_not_matter(
    server: Server, opened: Opened, ask: Ask, mode: str, together: bool
) -> None:
    """An append decides the same in each, whether its statements go in one packet or not."""
    known = {one for one in mode.split(",") if one and not _refuses(ask, one)}
    engine = _engine(server, sql_mode=",".join(known), flags=CLIENT.MULTI_STATEMENTS if together else 0)
    go_through(opened("tidb:", engine=engine))
    engine.dispose()


def _refuses(ask: Ask, mode: str) -> bool:
    try:
        ask(f"SET SESSION sql_mode = '{mode}'")
    except pymysql.err.MySQLError:
        return True
    return False


def _engine(server: Server, *, flags: int = 0, **settings: Any) -> Any:
    host, port = parts(server)
    return create_engine(
        f"mysql+pymysql://root@{host}:{port}/test", connect_args={"client_flag": flags, **settings}, pool_size=8
    )


def test_a_server_that_refuses_statements_together_gets_them_one_by_one(
    server: Server, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is found out once, and remembered by the store."""
    host, port = parts(server)

    def connect() -> Any:
        connection = pymysql.connect(host=host, port=port, user="root", database="test")
        connection.client_flag |= CLIENT.MULTI_STATEMENTS  # as a proxy looks that drops it
        return connection

    refusals = []
    seen = pymysql.err.raise_mysql_exception

    def watched(data: bytes) -> None:
        try:
            seen(data)
        except pymysql.err.MySQLError as error:
            refusals.append(error.args[0])
            raise

    monkeypatch.setattr(pymysql.err, "raise_mysql_exception", watched)
    engine = create_engine("mysql+pymysql://", creator=connect)
    store = opened("tidb:", engine=engine)
    go_through(store)
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda number: store.append("t", message(str(number))).seqs, range(40)))) == 40
    assert len([code for code in refusals if code in (SYNTAX, NO_MULTI_STATEMENTS)]) == 1
    engine.dispose()


def test_ids_that_a_collation_would_fold_or_pad_stay_apart(server: Server, opened: Opened, ask: Ask) -> None:
    """In a database whose collation does both."""
    name = f"folding_{uuid4().hex[:8]}"
    ask(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
    try:
        store = opened(schema=name)
        ids = ["a", "A", "ä", "a ", "a\t", "A ", "'", "\\", "%", "_", "\0", "\U0001f600"]
        for one in ids:
            store.append(one, message(one), turn_id=one)
        assert [texts(store, one) for one in ids] == [[one] for one in ids]
        assert list(store.sessions(limit=100).session_ids) == sorted(ids, key=str.encode)
    finally:
        ask(f"DROP DATABASE {name}")


def test_a_connection_that_is_killed_while_it_waits_stores_the_turn_once(
    opened: Opened, ask: Ask, server: Server
) -> None:
    """The packet was sent, and no answer came."""
    store = opened()
    store.append("s", message("a"))
    host, port = parts(server)
    other = pymysql.connect(host=host, port=port, user="root", database="test", autocommit=True)
    with other, other.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM backscroll_session WHERE session_id = 's' FOR UPDATE")
        append = pool.submit(store.append, "s", message("b"), timeout=20)
        eventually(lambda: waiting(ask))
        killed = set(waiting(ask))
        for number in killed:
            ask(f"KILL {number}")
        # Had it the lock by now, TiDB would keep it for as long as it waits for a lost client, 20 s.
        eventually(lambda: killed.isdisjoint(waiting(ask)))
        cursor.execute("ROLLBACK")
        assert append.result().version == 2
    assert texts(store) == ["a", "b"]


def waiting(ask: Ask) -> list[int]:
    """The connections that wait in an append."""
    return [row[0] for row in ask("SHOW FULL PROCESSLIST") if "ON DUPLICATE KEY" in str(row[7])]


def test_a_connection_that_was_ended_while_idle_is_not_used(opened: Opened, ask: Ask) -> None:
    """So that even a removal, which is never repeated, works afterwards."""
    store = opened()
    store.append("s", [message("a"), message("b")])
    (own,) = ask("SELECT CONNECTION_ID()")[0]
    for row in ask("SHOW PROCESSLIST"):
        if row[0] != own and row[1] == "root":
            ask(f"KILL {row[0]}")
    eventually(lambda: len([row for row in ask("SHOW PROCESSLIST") if row[1] == "root"]) == 1)
    assert store.remove("s", [0]) == (0,)


def test_tables_may_be_changed_while_appends_go_on(opened: Opened, ask: Ask) -> None:
    """What is acknowledged meanwhile is there, once."""
    store = opened()
    store.setup()
    stop = threading.Event()
    landed: list[str] = []

    def write(name: str) -> None:
        number = 0
        while not stop.is_set():
            store.append("s", [message(f"{name}.{number}")] * 2, timeout=30)
            landed.append(f"{name}.{number}")
            number += 1

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write, name) for name in "abc"]
        try:
            eventually(lambda: len(landed) > 10)
            ask("ALTER TABLE backscroll_message ADD COLUMN note INT NULL")
            ask("ALTER TABLE backscroll_message ADD INDEX notes (note)")
            ask("ALTER TABLE backscroll_session ADD COLUMN note INT NULL")
            count = len(landed)
            eventually(lambda: len(landed) > count + 10)
        finally:
            stop.set()
        for writer in writers:
            writer.result()
    found = texts(store)
    assert sorted(found) == sorted(landed * 2)
    assert found[::2] == found[1::2]


def test_processes_that_set_up_at_once_do_not_disturb_each_other(server: Server, ask: Ask) -> None:
    """Each finds the tables made, by itself or another one."""
    code = "import sys, backscroll; backscroll.open(sys.argv[1]).append('s', {'role': 'user', 'content': 'a'})"
    runs = [subprocess.Popen([sys.executable, "-c", code, server.url], stderr=subprocess.PIPE) for _ in range(3)]
    for run in runs:
        _, told = run.communicate(timeout=60)
        assert run.returncode == 0, told.decode()
    assert ask("SELECT next_seq FROM backscroll_session") == [(3,)]


def test_an_older_schema_is_migrated_and_a_newer_one_refused(
    opened: Opened, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the steps that lie between, once."""
    store = opened()
    store.append("s", message("a"))
    step = ["ALTER TABLE backscroll_session ADD COLUMN title VARBINARY(100) NULL"]
    steps = Layout("backscroll_", None, is_tidb=True).migrations()
    with monkeypatch.context() as newer:
        newer.setattr(backend_module, "SCHEMA_VERSION", 2)
        newer.setattr(Layout, "migrations", lambda self: (*steps, step))
        later = opened()
        assert step[0] in later.schema_statements()
        later.setup()
        assert later.schema_statements() == ()
        later.setup()
        assert texts(later) == ["a"]
    assert ask("SELECT version FROM backscroll_schema") == [(2,)]
    with pytest.raises(SchemaError, match="install a newer backscroll-tidb"):
        opened().append("s", message("b"))


def test_tables_of_another_program_are_told_of(opened: Opened, ask: Ask) -> None:
    """They are neither written to nor marked."""
    ask("CREATE TABLE backscroll_message (id INT PRIMARY KEY)")
    with pytest.raises(SchemaError, match="another program's"):
        opened().append("s", message("a"))
    assert ask("SELECT * FROM backscroll_schema") == []


def test_an_account_that_may_only_read_and_write_rows_suffices(server: Server, opened: Opened, ask: Ask) -> None:
    """Once somebody else ran the statements that the command prints."""
    ask("CREATE USER IF NOT EXISTS 'chat'@'%' IDENTIFIED BY 's3cret'")
    ask("GRANT SELECT, INSERT, UPDATE, DELETE ON test.* TO 'chat'@'%'")
    try:
        url = server.url.replace("root@", "chat:s3cret@")
        with pytest.raises(StorageError, match="lacks CREATE on") as caught:
            opened(url).append("s", message("a"))
        assert "s3cret" not in repr(caught.value)
        command = [sys.executable, "-m", "backscroll", "setup", "--print", url]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for statement in printed.splitlines():
            ask(statement.removesuffix(";"))
        store = opened(url, setup="never")
        go_through(store)
        assert store.remove("s", [0]) == (0,)
        store.clear("s")
        store.delete("s")
        assert store.purge() == 0
        assert store.setup().problems == ()
        ask("REVOKE DELETE ON test.* FROM 'chat'@'%'")
        with pytest.raises(StorageError, match="lacks DELETE on"):
            opened(url).remove("absent", [0])
    finally:
        ask("DROP USER 'chat'@'%'")


@pytest.mark.parametrize("zone", ["+09:00", "-11:00"])
def test_the_time_zone_of_the_server_does_not_matter(opened: Opened, ask: Ask, zone: str) -> None:
    """Messages are purged, and sessions dated, by the time that it is everywhere."""
    ((before,),) = ask("SELECT @@GLOBAL.time_zone")
    ask(f"SET GLOBAL time_zone = '{zone}'")
    try:
        store = opened()
        store.append("s", message("a"), ttl=1_000)
        store.append("s", message("b"))
        ask("SET time_zone = '+00:00'")
        purge_at = "IF(VERSION() LIKE '%TiDB%', UNIX_TIMESTAMP(purge_at), purge_at / 1000)"
        ((seconds,),) = ask(f"SELECT {purge_at} FROM backscroll_message WHERE purge_at IS NOT NULL")
        assert abs(float(seconds) - time.time() - 1_060) < 10
        updated_at = store.info("s").updated_at
        assert updated_at is not None
        assert abs(updated_at.timestamp() - time.time()) < 10
        assert store.purge() == 0
        store._backend.append("s", Turn(uuid4(), bytes(8), (b"{}", b"{}"), expires_at=1, purge_in=-120.0), Deadline(10))
        assert store.purge() == 2
        assert texts(store) == ["a", "b"]
    finally:
        ask(f"SET GLOBAL time_zone = '{before}'")


def test_a_message_that_is_never_purged_in_this_century_can_be_stored(opened: Opened, ask: Ask) -> None:
    """Beyond the last date that the server's type holds, it just stays."""
    store = opened()
    store.append("s", message("a"), ttl=50 * 365 * 86_400)
    assert texts(store) == ["a"]
    assert store.purge() == 0


def test_tidb_drops_what_has_expired_by_itself_and_no_seq_comes_again(tidb: Server) -> None:
    """Its job takes the messages, also the newest ones, and not the counter."""
    with backscroll.open(tidb.url, prefix=f"t{uuid4().hex[:8]}_") as store:
        store.setup()
        store.append("s", message("a"))
        due = Turn(uuid4(), bytes(8), (b"{}", b"{}"), expires_at=1, purge_in=-7_200.0)
        store._backend.append("s", due, Deadline(10))

        def seqs() -> list[int]:
            with store._backend._connections.lend(Deadline(10)) as link:  # type: ignore[attr-defined]
                layout = store._backend._layout(link)  # type: ignore[attr-defined]
                return [seq for (seq,) in link.ask(f"SELECT seq FROM {layout.table('message')}")[0].rows]

        eventually(lambda: seqs() == [0], 90)
        assert store.append("s", message("b")).seqs == (3,)
        assert texts(store) == ["a", "b"]


def test_what_the_server_takes_for_too_large_is_told_so(tidb: Server) -> None:
    """An entry over TiDB's limit is refused as a whole, and the connection goes on."""
    with backscroll.open(tidb.url, prefix=f"t{uuid4().hex[:8]}_") as store:
        store.setup()
        turn = Turn(uuid4(), bytes(8), (b"{}", b"{" + b"x" * (7 << 20)))
        with pytest.raises(MessageTooLarge, match="txn-entry-size-limit") as caught:
            store._backend.append("s", turn, Deadline(30))
        assert caught.value.size is not None
        assert caught.value.size > caught.value.limit > 1 << 20
        assert store.version("s") == 0
        assert store.append("s", {"role": "user", "content": "x" * 900_000}).seqs == (0,)


def test_a_packet_over_the_limit_of_the_server_is_told_so(mariadb: Server) -> None:
    """So is, before that, that the limit is too low for what may be stored."""
    host, port = parts(mariadb)
    with pymysql.connect(host=host, port=port, user="root") as admin, admin.cursor() as cursor:
        cursor.execute("SET GLOBAL max_allowed_packet = 1048576")
        try:
            with backscroll.open(mariadb.url, prefix=f"t{uuid4().hex[:8]}_") as store:
                assert any("max_allowed_packet is 1048576" in problem for problem in store.setup().problems)
                with pytest.raises((MessageTooLarge, Unavailable, backscroll.OutcomeUnknown)) as caught:
                    store.append("s", {"role": "user", "content": "x" * 900_000}, timeout=3)
                assert isinstance(caught.value, MessageTooLarge), caught.value
                assert "max_allowed_packet" in str(caught.value)
                assert texts(store) == []
        finally:
            cursor.execute("SET GLOBAL max_allowed_packet = 16777216")


def test_settings_that_fall_short_are_told(mariadb: Server) -> None:
    """Ping says which one, and what to set."""
    host, port = parts(mariadb)
    with (
        pymysql.connect(host=host, port=port, user="root") as admin,
        admin.cursor() as cursor,
        backscroll.open(mariadb.url) as store,
        backscroll.open(mariadb.url, durability="process") as careless,
    ):
        assert store.ping().problems == ()
        cursor.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
        try:
            (problem,) = store.ping().problems
            assert "innodb_flush_log_at_trx_commit is 2" in problem
            assert careless.ping().problems == ()
        finally:
            cursor.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")


def test_a_long_read_comes_in_pages_of_bounded_size(opened: Opened) -> None:
    """Whatever the limit is, and in both directions."""
    store = opened()
    bodies = [f"{number:03}" + "x" * 200_000 for number in range(30)]
    for body in bodies:
        store.append("s", message(body))
    for newest in (False, True):
        window = Window(None, None, 100, newest, 0)
        page = store._backend.read("s", window, Deadline(10))
        assert 1 << 20 <= sum(len(row.body) for row in page.rows) < 2 << 20
        assert page.resume == page.rows[-1].seq
        assert all(json.loads(row.body) for row in page.rows)
    assert [record.message.content for record in store.last("s", 30)] == bodies
    assert texts(store) == bodies


def test_the_newest_messages_are_read_from_the_end_of_the_key(tidb: Server) -> None:
    """TiDB scans no more rows than are asked for."""
    with backscroll.open(tidb.url, prefix=f"t{uuid4().hex[:8]}_") as store:
        store.append("s", [message(str(number)) for number in range(100)])
        with store._backend._connections.lend(Deadline(10)) as link:  # type: ignore[attr-defined]
            layout = store._backend._layout(link)  # type: ignore[attr-defined]
            statement = layout.read("s", Window(None, None, 20, newest=True, now=0), only_live=False)
            plan = link.ask(f"EXPLAIN {statement}")[0].rows
    steps = {row[0].lstrip(" └│├─").partition("_")[0]: row for row in plan}
    assert "range:[" in steps["TableRangeScan"][4]
    assert "keep order:true, desc" in steps["TableRangeScan"][4]
    assert any(row[0].lstrip(" └│├─").startswith("Limit") and row[2] == "cop[tikv]" for row in plan)


def test_an_interrupted_clear_hides_all_at_once_and_leaves_nothing_to_a_new_session(
    opened: Opened, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were not dropped yet are not read in either direction, and go with the session."""
    store = opened()
    store.append("s", [message(str(number)) for number in range(10)])
    store.remove("s", [9])
    with monkeypatch.context() as interrupted:
        interrupted.setattr(backend_module.TiDBBackend, "_drop_discarded", lambda *_: None)
        store.clear("s")
    store.append("s", message("new"))
    assert texts(store) == ["new"]
    for limit in (1, 2, 20):
        assert [record.seq for record in store.last("s", limit)] == [10]
        assert store.read("s", before=9, limit=limit, newest=True) == []
    assert store.count("s") == 1
    assert store.remove("s", [3, 9]) == ()
    assert len(ask("SELECT seq FROM backscroll_message")) == 11
    with monkeypatch.context() as small:
        small.setattr("backscroll_tidb.layout.ROWS_AT_ONCE", 2)
        small.setattr(backend_module, "ROWS_AT_ONCE", 2)
        store.delete("s")
    assert ask("SELECT seq FROM backscroll_message") == []
    assert store.append("s", message("new")).seqs == (0,)


def test_a_clear_that_cannot_drop_everything_in_time_says_so(opened: Opened, ask: Ask, server: Server) -> None:
    """The messages are not read any more, whatever becomes of their rows, so that it was not surely not done."""
    store = opened()
    store.append("s", [message(str(number)) for number in range(10)])
    host, port = parts(server)
    other = pymysql.connect(host=host, port=port, user="root", database="test", autocommit=True)
    with other, other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM backscroll_message WHERE session_id = 's' AND seq = 0 FOR UPDATE")
        with pytest.raises(backscroll.OutcomeUnknown):
            store.clear("s", timeout=1)
        assert texts(store) == []
        cursor.execute("ROLLBACK")
    store.clear("s", timeout=60)
    assert ask("SELECT seq FROM backscroll_message") == []


def test_an_engine_without_autocommit_is_set_up_for_good(server: Server, opened: Opened, ask: Ask) -> None:
    """The mark of the version is committed like everything else."""
    engine = _engine(server)
    opened("tidb:", engine=engine).setup()
    assert ask("SELECT version FROM backscroll_schema") == [(1,)]
    engine.dispose()


def test_deletes_stay_within_the_limits_of_a_transaction(opened: Opened, ask: Ask) -> None:
    """A long session goes in batches."""
    store = opened()
    for start in range(0, 3_000, 1_000):
        store.append("s", [message(str(start + number)) for number in range(1_000)])
    store.discard("s", before=2_500)
    assert ask("SELECT COUNT(*), MIN(seq) FROM backscroll_message") == [(500, 2_500)]
    assert store.info("s").first_seq == 2_500


def test_writers_of_one_session_wait_for_each_other(opened: Opened) -> None:
    """Neither a deadlock nor a write conflict reaches a caller, and no turn is torn."""
    store = opened()
    store.setup()

    def write(name: int) -> None:
        for number in range(10):
            store.append("s", [message(f"{name}.{number}")] * 3)

    with ThreadPoolExecutor(8) as pool:
        for writer in [pool.submit(write, name) for name in range(8)]:
            writer.result()
    found = texts(store)
    assert len(found) == 240
    assert found[::3] == found[1::3] == found[2::3]


def test_a_session_may_be_deleted_while_others_append_to_it(opened: Opened) -> None:
    """A turn whose session went while it waited begins it anew, at its beginning."""
    store = opened()
    store.setup()
    stop = threading.Event()

    def delete() -> None:
        while not stop.is_set():
            store.delete("s", timeout=30)

    with ThreadPoolExecutor(4) as pool:
        deleting = pool.submit(delete)
        try:
            for number in range(60):
                [one.result() for one in [pool.submit(store.append, "s", message(f"{number}")) for _ in range(3)]]
        finally:
            stop.set()
        deleting.result()
    seqs = [record.seq for record in store.iterate("s")]
    assert seqs == list(range(store.info("s").first_seq, store.version("s")))


def test_sessions_that_many_delete_at_once_can_be_begun_anew(opened: Opened, ask: Ask) -> None:
    """Nothing is left of them that a later turn would meet."""
    store = opened()
    store.setup()
    for _ in range(15):
        store.append("s", [message("a"), message("b")])
        with ThreadPoolExecutor(6) as pool:
            calls = [pool.submit(store.delete if number % 2 else store.clear, "s", timeout=60) for number in range(6)]
        for call in calls:
            call.result()
        store.delete("s")
        assert ask("SELECT seq FROM backscroll_message") == []
        assert store.version("s") == 0


def test_a_call_that_is_interrupted_takes_its_connection_with_it(opened: Opened, ask: Ask, server: Server) -> None:
    """Its answer, which is still to come, is not taken for that to the next question."""

    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    store = opened()
    store.append("s", message("a"))
    host, port = parts(server)
    other = pymysql.connect(host=host, port=port, user="root", database="test", autocommit=True)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with other, other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT * FROM backscroll_session WHERE session_id = 's' FOR UPDATE")
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises((Interrupted, backscroll.OutcomeUnknown)):
                store.append("s", message("b"), timeout=20)
            assert texts(store, "t") == []
            assert texts(store) == ["a"]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_what_is_due_is_found_by_its_index(mariadb: Server) -> None:
    """A purge neither scans nor locks what is not due."""
    with backscroll.open(mariadb.url, prefix=f"t{uuid4().hex[:8]}_") as store:
        store.append("s", [message(str(number)) for number in range(100)])
        store.append("s", message("a"), ttl=100)
        with store._backend._connections.lend(Deadline(10)) as link:  # type: ignore[attr-defined]
            statement = store._backend._layout(link).purge()[1]  # type: ignore[attr-defined]
            [row] = link.ask(f"EXPLAIN {statement}")[0].rows
        assert "due" in row
        assert store.purge() == 0


def test_a_page_with_a_gap_is_read_again_where_snapshots_are_not_atomic(
    mariadb: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot of MariaDB may miss a commit and show the next one; what was removed stays away."""
    with backscroll.open(mariadb.url, prefix=f"t{uuid4().hex[:8]}_") as store:
        store.append("s", [message(str(number)) for number in range(6)])
        store.remove("s", [1])
        rows = backend_module.Link.rows
        asked = []

        def torn(link: Any, statement: str, *rest: Any) -> Any:
            asked.append(statement)
            missing = " AND seq <> 3 ORDER BY" if len(asked) == 1 else " ORDER BY"
            return rows(link, statement.replace(" ORDER BY", missing), *rest)

        monkeypatch.setattr(backend_module.Link, "rows", torn)
        for read in (
            lambda: store.last("s", 6),
            lambda: store.read("s", after=2),
            lambda: store.read("s", limit=3),
            lambda: store.read("s", before=5, limit=3, newest=True),
        ):
            asked.clear()
            found = [record.seq for record in read()]
            assert found in ([0, 2, 3, 4, 5], [3, 4, 5], [0, 2, 3], [2, 3, 4])
            assert len(asked) >= 2


def test_limits_follow_the_claim(opened: Opened) -> None:
    """What is claimed of the server stands among the limits."""
    assert opened(durability="process").limits == attrs.evolve(
        opened().limits, durability=backscroll.capabilities.Durability.PROCESS
    )
