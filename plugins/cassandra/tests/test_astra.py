"""Astra DB, as far as it goes without it: a bundle, what it leads to, and a node behind a proxy that speaks TLS."""

import http.server
import json
import select
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import ZipFile

import attrs
import pytest
import trustme
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable
from conftest import CASSANDRA

import backscroll
from backscroll.errors import InvalidOption, StorageError, Unavailable
from backscroll.url import parse_url
from backscroll_conformance.containers import Server
from backscroll_conformance.servers import running

TOKEN = "AstraCS:s3cret"
ADMIN = PlainTextAuthProvider("cassandra", "cassandra")


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A node that asks for user and password, and knows the user ``token``."""
    options = CASSANDRA.environment["JAVA_TOOL_OPTIONS"]
    environment = {
        "JAVA_TOOL_OPTIONS": f"{options} -Dcassandra.settings.authenticator=PasswordAuthenticator "
        "-Dcassandra.settings.authorizer=CassandraAuthorizer -Dcassandra.settings.permissions_validity=500ms",
        "CASSANDRA_AUTHENTICATOR": "PasswordAuthenticator",
    }
    with running(attrs.evolve(CASSANDRA, environment=environment)) as server:
        yield server


@pytest.fixture(scope="module")
def keyspace(guarded: Server) -> Iterator[Any]:
    """A keyspace, which Astra has made by its console, and the id of the node."""
    with _administrator(guarded) as session:
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


@contextmanager
def _administrator(server: Server) -> Iterator[Any]:
    deadline = time.monotonic() + 30
    while True:
        cluster = Cluster(["localhost"], port=server.published[0], protocol_version=5, auth_provider=ADMIN)
        try:
            session = cluster.connect()
        except NoHostAvailable:
            # The node makes its first user some seconds after it is ready.
            assert time.monotonic() < deadline, "the node knows no administrator"
        else:
            break
    try:
        yield session
    finally:
        cluster.shutdown()


class Authority:
    """Signs the certificates of both sides."""

    def __init__(self) -> None:
        self.ca = trustme.CA()

    def context(self, *names: str) -> ssl.SSLContext:
        """What a server of this name shows, and asks for."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*(names or ("localhost", "127.0.0.1"))).configure_cert(context)
        self.ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def bundle(self, path: Path, port: int) -> str:
        """The zip file that Astra gives out."""
        client = self.ca.issue_cert("client@example.org")
        config = {"host": "localhost", "port": port, "keyspace": "k", "localDC": "datacenter1"}
        with ZipFile(path, "w") as bundle:
            bundle.writestr("config.json", json.dumps(config))
            bundle.writestr("ca.crt", self.ca.cert_pem.bytes())
            bundle.writestr("cert", client.cert_chain_pems[0].bytes())
            bundle.writestr("key", client.private_key_pem.bytes())
        return str(path)


class Proxy(socketserver.ThreadingTCPServer):
    """Takes connections by TLS, and passes on what they say to a port of this machine."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        super().__init__(("localhost", 0), Passing)
        self.context, self.port = context, port


class Passing(socketserver.BaseRequestHandler):
    """One connection of a proxy."""

    server: Proxy

    def handle(self) -> None:
        with (
            suppress(OSError),
            socket.create_connection(("localhost", self.server.port)) as behind,
            self.server.context.wrap_socket(self.request, server_side=True) as before,
        ):
            while True:
                ready = [before] if before.pending() else select.select([before, behind], [], [])[0]
                for one in ready:
                    data = one.recv(1 << 16)
                    if not data:
                        return
                    (behind if one is before else before).sendall(data)


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[int]:
    """The port of a server that serves in a thread."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def metadata(authority: Authority, host_id: str, proxy: int) -> http.server.HTTPServer:
    """What tells where the nodes are."""
    told = {"local_dc": "datacenter1", "contact_points": [host_id], "sni_proxy_address": f"localhost:{proxy}"}

    class Telling(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"region": "here", "contact_info": {"type": "sni_proxy", **told}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.HTTPServer(("localhost", 0), Telling)
    server.socket = authority.context().wrap_socket(server.socket, server_side=True)
    return server


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
    with _administrator(guarded) as session:
        session.execute(f"CREATE ROLE {user} WITH PASSWORD = 'pw' AND LOGIN = true")
        for right in ("SELECT", "MODIFY"):
            session.execute(f"GRANT {right} ON KEYSPACE {keyspace[0]} TO {user}")
        with backscroll.open(f"cassandra://{user}:pw@{where}?setup=never") as store:
            assert store.append("r", {"role": "user", "content": "a"}).version == 1
            assert len(store.last("r")) == 1
            store.delete("r")
            [problem] = store.ping().problems
            assert "GRANT SELECT ON system_views.settings" in problem
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
