"""What is found by a closer look at a server."""

import json
import time
from uuid import uuid4

import pymysql
import pytest
from conftest import Ask, Opened
from specs import parts

from backscroll.backend import Examination, Severity
from backscroll.cli import main
from backscroll_conformance.containers import Server
from backscroll_tidb.options import TiDBOptions
from backscroll_tidb.settings import Told, examined

UNISTORE = "its store is unistore, which one server has to itself and which is for tests"


def others(seen: Examination) -> list[tuple[Severity, str]]:
    """The findings but for the store of the TiDB of the tests, which is one for tests."""
    return [(one.severity, one.seen.partition(",")[0]) for one in seen.findings if one.seen != UNISTORE]


async def test_a_server_that_is_set_up_well_has_no_other_findings(opened: Opened, ask: Ask) -> None:
    """Its version, schema and clock are told, in both forms alike; nothing is written."""
    store = opened()
    assert (store.examine().schema, ask("SHOW TABLES")) == ("not there yet", [])
    store.setup()
    seen = store.examine()
    [(version,)] = ask("SELECT VERSION()")
    assert seen.server.endswith(f" {version}")
    assert (seen.schema, seen.clock_ahead, others(seen)) == ("version 1", 0.0, [])
    assert (await store.aexamine()).findings == seen.findings


def test_a_tidb_without_ttl_jobs_is_told(tidb: Server, opened: Opened) -> None:
    """As by ping."""
    host, port = parts(tidb)
    store = opened(tidb.url)
    with pymysql.connect(host=host, port=port, user="root", autocommit=True) as admin, admin.cursor() as cursor:
        cursor.execute("SET GLOBAL tidb_ttl_job_enable = OFF")
        try:
            seen = store.examine()
            assert others(seen) == [(Severity.ERROR, "tidb_ttl_job_enable is off")]
            assert seen.findings[0].page == "docs/tidb.md#setting-it-up"
            assert store.ping().problems == (str(seen.findings[0]),)
        finally:
            cursor.execute("SET GLOBAL tidb_ttl_job_enable = ON")
    assert others(store.examine()) == []


def test_a_store_that_is_for_tests_is_told(tidb: Server, mariadb: Server, opened: Opened) -> None:
    """Such as that of the TiDB of these tests; TiKV is fine, and other servers have none."""
    seen = opened(tidb.url).examine()
    [finding] = [one for one in seen.findings if one.seen == UNISTORE]
    assert (finding.severity, finding.page) == (Severity.WARNING, "docs/tidb.md#traps")
    assert opened(mariadb.url).examine().findings == ()
    packet = 64 << 20
    told = Told(("8.0.11-TiDB-v8.5.4", packet, 0, 1, 0), (1, "Release Version: v8.5.4\nStore: tikv"), True, 1, 0, 0)
    assert examined(told, TiDBOptions()).findings == ()


def test_a_server_that_writes_once_a_second_is_told(mariadb: Server, opened: Opened) -> None:
    """It falls short of a claim, and where none is made, of production."""
    host, port = parts(mariadb)
    claiming, careless = opened(mariadb.url), opened(mariadb.url, durability="process")
    seen = "innodb_flush_log_at_trx_commit is 2"
    with pymysql.connect(host=host, port=port, user="root", autocommit=True) as admin, admin.cursor() as cursor:
        cursor.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
        try:
            assert others(claiming.examine()) == [(Severity.ERROR, seen)]
            assert others(careless.examine()) == [(Severity.WARNING, seen)]
            assert careless.ping().problems == ()
        finally:
            cursor.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    assert others(careless.examine()) == others(claiming.examine()) == []


def test_tables_that_an_account_may_not_read_are_a_note(server: Server, opened: Opened, ask: Ask) -> None:
    """And no failure."""
    opened().setup()
    name = f"u{uuid4().hex[:8]}"
    ask(f"CREATE USER {name} IDENTIFIED BY 's3cret'")
    ask(f"GRANT SELECT ON test.backscroll_message TO {name}")
    try:
        seen = opened(server.url.replace("root@", f"{name}:s3cret@")).examine()
    finally:
        ask(f"DROP USER {name}")
    assert (seen.schema, others(seen)) == (
        "",
        [(Severity.NOTE, "the version of the tables could not be seen: the user may not read them")],
    )


def test_a_clock_that_differs_is_told(opened: Opened) -> None:
    """By how much, with its sign, against the clock that decides what has expired."""
    ahead = opened(clock=lambda: time.time_ns() - 5_000_000_000).examine().clock_ahead
    assert ahead is not None
    assert 4.0 < ahead <= 5.0


def test_the_command_tells_all_of_it(
    server: Server, opened: Opened, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """With the drivers; the exit code is 1 where something is wrong."""
    opened().setup()
    code = main(["doctor", "--json", server.url])
    told = json.loads(capsysbinary.readouterr().out)
    assert code == (1 if told["findings"] else 0)
    assert [finding["seen"] for finding in told["findings"]] == [UNISTORE] * ("TiDB" in told["server"])
    assert (told["schema"], set(told["drivers"])) == ("version 1", {"pymysql", "sqlalchemy"})
