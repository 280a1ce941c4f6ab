"""Astra DB, as far as it goes without it: a bundle, what it leads to, and a node behind a proxy that speaks TLS."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import ZipFile

import pytest
import trustme
from astra import TOKEN, Authority, Proxy, administrator, guarding, metadata, serving
from conftest import CASSANDRA

import backscroll
from backscroll.backend import Severity
from backscroll.errors import InvalidOption, StorageError, Unavailable
from backscroll.url import parse_url
from backscroll_conformance.containers import Server
from backscroll_conformance.servers import running


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A node that asks for user and password, and knows the user ``token``."""
    with running(guarding(CASSANDRA)) as server:
        yield server


@pytest.fixture(scope="module")
def keyspace(guarded: Server) -> Iterator[Any]:
    """A keyspace, which Astra has made by its console, and the id of the node."""
    with administrator(guarded) as session:
        name = f"astra_{uuid4().hex}"
        session.execute(
            f"CREATE KEYSPACE {name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        )
        session.execute(
            f"CREATE ROLE IF NOT EXISTS 'token' WITH PASSWORD = '{TOKEN}' AND LOGIN = true AND SUPERUSER = true"
        )
        [row] = session.execute("SELECT host_id FROM system.local")
        yield name, str(row.host_id)
        session.execute(f"DROP KEYSPACE {name}")


def test_a_bundle_and_a_token_open_a_database(guarded: Server, keyspace: Any, tmp_path: Path) -> None:
    """By what the bundle leads to, with TLS in both directions; a wrong token is told and never repeated."""
    authority, (name, host_id) = Authority(), keyspace
    [host] = parse_url(guarded.url).hosts
    with (
        serving(Proxy(authority.context(), host.port or 0)) as proxy,
        serving(metadata(authority, host_id, proxy)) as port,
    ):
        bundle = authority.bundle(tmp_path / "bundle.zip", port)
        with backscroll.open(f"astra:///{name}", secure_connect_bundle=bundle, token=TOKEN) as store:
            assert store.append("s", {"role": "user", "content": "a"}).version == 1
            assert [record.message.content for record in store.last("s")] == ["a"]
        wrong = backscroll.open(f"astra:///{name}", secure_connect_bundle=bundle, token="AstraCS:wr0ng")
        with wrong, pytest.raises(StorageError, match="does not accept user and password") as caught:
            wrong.ping()
        assert "wr0ng" not in f"{caught.value} {wrong!r}"
        stranger = Authority().bundle(tmp_path / "stranger.zip", port)
        other = backscroll.open(f"astra:///{name}", secure_connect_bundle=stranger, token=TOKEN, timeout=2)
        with other, pytest.raises(Unavailable, match="is the bundle up to date"):
            other.ping()


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    """When the store is opened."""
    path = tmp_path / "bundle.zip"
    path.write_text("no zip")
    with pytest.raises(InvalidOption, match="the file is no bundle"):
        backscroll.open("astra:///k", secure_connect_bundle=str(path), token=TOKEN)
    with ZipFile(path, "w") as bundle:
        bundle.writestr("config.json", "{}")
    with pytest.raises(InvalidOption, match="the file is no bundle"):
        backscroll.open("astra:///k", secure_connect_bundle=str(path), token=TOKEN)


def test_user_and_password_are_asked_for_and_kept_secret(guarded: Server, keyspace: Any) -> None:
    """By a plain node; without them the error says what is missing."""
    [host] = parse_url(guarded.url).hosts
    url = "cassandra://{}localhost:{}/{}"
    with backscroll.open(url.format("cassandra:cassandra@", host.port, keyspace[0])) as store:
        assert store.append("p", {"role": "user", "content": "a"}).version == 1
    for given in ("cassandra:wr0ng@", ""):
        with backscroll.open(url.format(given, host.port, keyspace[0])) as store:
            with pytest.raises(StorageError, match="user and password") as caught:
                store.ping()
            assert "wr0ng" not in f"{caught.value} {store!r}"


def test_the_rights_that_the_page_names_are_enough(guarded: Server, keyspace: Any) -> None:
    """And what is missing is named where it is."""
    [host] = parse_url(guarded.url).hosts
    user, where = f"u{uuid4().hex}", f"localhost:{host.port}/{keyspace[0]}"
    with backscroll.open(f"cassandra://cassandra:cassandra@{where}") as store:
        assert store.setup().problems == ()
    with administrator(guarded) as session:
        session.execute(f"CREATE ROLE {user} WITH PASSWORD = 'pw' AND LOGIN = true")
        for right in ("SELECT", "MODIFY"):
            session.execute(f"GRANT {right} ON KEYSPACE {keyspace[0]} TO {user}")
        with backscroll.open(f"cassandra://{user}:pw@{where}?setup=never") as store:
            assert store.append("r", {"role": "user", "content": "a"}).version == 1
            assert len(store.last("r")) == 1
            store.delete("r")
            [problem] = store.ping().problems
            assert "GRANT SELECT ON system_views.settings" in problem
            with backscroll.open(f"cassandra://{user}:pw@{where}?setup=never", durability="process") as careless:
                assert careless.ping().problems == ()
                [_, unseen] = careless.examine().findings
                assert (unseen.severity, unseen.page) == (Severity.NOTE, "docs/cassandra.md#permissions")
            session.execute(f"GRANT SELECT ON system_views.settings TO {user}")
            end = time.monotonic() + 10
            while store.ping().problems:
                assert time.monotonic() < end
                time.sleep(0.1)
        with (
            backscroll.open(f"cassandra://{user}:pw@{where}?prefix=other_") as store,
            pytest.raises(StorageError, match="lacks CREATE on"),
        ):
            store.append("r", {"role": "user", "content": "a"})


def test_tls_is_checked(guarded: Server, keyspace: Any, tmp_path: Path) -> None:
    """The authority and the name; and a certificate is shown where it is asked for."""
    authority = Authority()
    authority.ca.cert_pem.write_to_path(str(tmp_path / "ca"))
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other"))
    client = authority.ca.issue_cert("client@example.org")
    client.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client"))
    [host] = parse_url(guarded.url).hosts
    with serving(Proxy(authority.context(), host.port or 0)) as port:
        url = f"cassandra://cassandra:cassandra@localhost:{port}/{keyspace[0]}"
        shown = {"ssl_cert": str(tmp_path / "client")}
        with backscroll.open(url, ssl_ca=str(tmp_path / "ca"), **shown) as store:
            assert store.append("t", {"role": "user", "content": "x" * 10_000}).version == 1
        other = backscroll.open(url, ssl_ca=str(tmp_path / "other"), **shown)
        with other, pytest.raises(StorageError, match="certificate is refused"):
            other.ping()
        with backscroll.open(url, ssl_verify_cert="false", **shown) as store:
            assert store.version("t") >= 1
    with serving(Proxy(authority.context("elsewhere.example.org"), host.port or 0)) as port:
        url = f"cassandra://cassandra:cassandra@localhost:{port}/{keyspace[0]}"
        other = backscroll.open(url, ssl_ca=str(tmp_path / "ca"), **shown)
        with other, pytest.raises(StorageError, match="certificate is refused"):
            other.ping()
        with backscroll.open(url, ssl_ca=str(tmp_path / "ca"), ssl_verify_identity="false", **shown) as store:
            assert store.version("t") >= 1
