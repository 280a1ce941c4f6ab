"""TLS: what is checked of the server, and what it is shown, by both forms."""

import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import attrs
import pymysql
import pytest
import trustme
from specs import TIDB, eventually, message, parts, texts

import backscroll
from backscroll import Store
from backscroll.backend import Deadline
from backscroll.errors import StorageError
from backscroll_conformance.containers import Server
from backscroll_conformance.servers import running

LIKE_TIDB_CLOUD = {"ssl_ca": "right", "ssl_verify_cert": "true", "ssl_verify_identity": "true"}
FILES = ("ssl_ca", "ssl_cert", "ssl_key")
ALERT_BYTES = 32
"""More than an encrypted alert has, and less than a login."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the certificates."""
    return trustme.CA()


@pytest.fixture(scope="module")
def folder(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificates of the right authority, of another one, and of clients of both."""
    folder = tmp_path_factory.mktemp("certificates")
    for name, signs in (("right", authority), ("wrong", trustme.CA())):
        client = signs.issue_cert("client@example.org")
        signs.cert_pem.write_to_path(str(folder / name))
        client.cert_chain_pems[0].write_to_path(str(folder / f"{name}.client"))
        client.private_key_pem.write_to_path(str(folder / f"{name}.key"))
        client.private_key_and_cert_chain_pem.write_to_path(str(folder / f"{name}.both"))
    return folder


@contextmanager
def secured(authority: trustme.CA, name: str, *, days: int = 1) -> Iterator[Server]:
    """A TiDB that shows a certificate for this name, which ends in so many days."""
    now, day = datetime.now(UTC), timedelta(days=1)
    leaf = authority.issue_cert(name, not_before=now - 2 * day, not_after=now + days * day)
    [(path, config)] = TIDB.files.items()
    config += '[security]\nssl-ca = "/ca.pem"\nssl-cert = "/cert.pem"\nssl-key = "/key.pem"\n'
    shown = {"/ca.pem": authority.cert_pem, "/cert.pem": leaf.cert_chain_pems[0], "/key.pem": leaf.private_key_pem}
    files = {path: config} | {name: pem.bytes().decode() for name, pem in shown.items()}
    with running(attrs.evolve(TIDB, files=files)) as server:
        yield server


@pytest.fixture(scope="module")
def right(authority: trustme.CA) -> Iterator[Server]:
    """A TiDB whose certificate is right."""
    with secured(authority, "localhost") as server:
        yield server


@pytest.fixture(scope="module")
def elsewhere(authority: trustme.CA) -> Iterator[Server]:
    """A TiDB whose certificate is for another host."""
    with secured(authority, "example.org") as server:
        yield server


@pytest.fixture(scope="module")
def expired(authority: trustme.CA) -> Iterator[Server]:
    """A TiDB whose certificate was right until yesterday."""
    with secured(authority, "localhost", days=-1) as server:
        yield server


@pytest.fixture
def any_secured(request: pytest.FixtureRequest) -> Server:
    """The one of them that the test's parameter names."""
    found: Server = request.getfixturevalue(request.param)
    return found


def url_of(port: int, folder: Path, options: dict[str, str], user: str = "root") -> str:
    """A URL as TiDB Cloud shows it, with the paths of the files."""
    given = {name: str(folder / value) if name in FILES else value for name, value in options.items()}
    return f"mysql+pymysql://{user}@localhost:{port}/test?{urlencode(given)}"


def port_of(server: Server) -> int:
    """Where a server listens."""
    return parts(server)[1]


async def taken(url: str) -> str:
    """Check that both forms work, and return the cipher by which they are encrypted."""
    session_id = uuid4().hex
    sync, other = backscroll.open(url), backscroll.open(url)
    try:
        sync.append(session_id, message("a"))
        await other.aappend(session_id, message("b"))
        assert texts(sync, session_id) == ["a", "b"]
        return cipher(sync)
    finally:
        sync.close()
        await other.aclose()


def cipher(store: Store) -> str:
    """By what the connection of a store is encrypted; empty where it is not."""
    backend: Any = store._backend
    with backend._connections.lend(Deadline(5)) as link:
        [(_, found)] = link.ask("SHOW STATUS LIKE 'Ssl_cipher'")[0].rows
    return str(found)


async def refused(url: str, why: str) -> None:
    """Check that both forms are refused at once, and in which words."""
    sync, other = backscroll.open(url), backscroll.open(url)
    try:
        with pytest.raises(StorageError, match=why):
            sync.append("refused", message("a"))
        with pytest.raises(StorageError, match=why):
            await other.aappend("refused", message("a"))
    finally:
        sync.close()
        await other.aclose()


@contextmanager
def overheard(server: Server) -> Iterator[tuple[int, list[bytes]]]:
    """A port that leads to the server, and what each client said there; complete when the block has ended."""
    heard: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            said = bytearray()
            with socket.create_connection(parts(server)) as beyond, suppress(OSError):
                other = {self.request: beyond, beyond: self.request}
                is_open = True
                while is_open:
                    for one in select.select(list(other), [], [])[0]:
                        data = one.recv(1 << 16)
                        other[one].sendall(data)
                        is_open = is_open and bool(data)
                        said += data if one is self.request else b""
            heard.append(bytes(said))

    with socketserver.ThreadingTCPServer(("localhost", 0), Handler) as leading:
        thread = threading.Thread(target=leading.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield leading.server_address[1], heard
        finally:
            leading.shutdown()
            thread.join()


def is_greeting(said: bytes) -> bool:
    """Whether a client said nothing but that it wants TLS, its hello, and that it goes: it told of no user."""
    told, records = said[:36], said[36:]
    while records and (records[0] != 23 or int.from_bytes(records[3:5], "big") < ALERT_BYTES):
        records = records[5 + int.from_bytes(records[3:5], "big") :]
    return told[:4] == b"\x20\0\0\1" and not records


def administer(server: Server, authority: trustme.CA, *statements: str) -> None:
    """Let the administrator run statements."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    host, port = parts(server)
    with closing(pymysql.connect(host=host, port=port, user="root", ssl=context)) as connection:
        for statement in statements:
            connection.cursor().execute(statement)


@pytest.mark.parametrize(
    "options",
    [
        LIKE_TIDB_CLOUD,
        {"ssl_ca": "right"},
        {"ssl_ca": "right", "ssl_verify_identity": "true"},
        {"ssl_ca": "right", "ssl_verify_cert": "True", "charset": "utf8mb4"},
    ],
    ids=str,
)
async def test_the_right_certificate_is_taken(right: Server, folder: Path, options: dict[str, str]) -> None:
    """By each way to say that TLS is wanted, and all is encrypted."""
    assert await taken(url_of(port_of(right), folder, options))


@pytest.mark.parametrize(
    ("any_secured", "options", "why"),
    [
        ("right", LIKE_TIDB_CLOUD | {"ssl_ca": "wrong"}, "unable to get local issuer certificate"),
        ("right", {"ssl_ca": "wrong", "ssl_verify_identity": "false"}, "unable to get local issuer certificate"),
        ("right", {"ssl_verify_cert": "true"}, "unable to get local issuer certificate"),
        ("right", {"ssl_verify_identity": "true"}, "unable to get local issuer certificate"),
        ("expired", LIKE_TIDB_CLOUD, "certificate has expired"),
        ("expired", {"ssl_ca": "right", "ssl_verify_identity": "false"}, "certificate has expired"),
        ("elsewhere", LIKE_TIDB_CLOUD, "Hostname mismatch, certificate is not valid for 'localhost'"),
        ("elsewhere", {"ssl_ca": "right"}, "Hostname mismatch, certificate is not valid for 'localhost'"),
    ],
    indirect=["any_secured"],
    ids=str,
)
async def test_another_certificate_is_refused(
    any_secured: Server, folder: Path, options: dict[str, str], why: str
) -> None:
    """One of another authority, an old one, or for another host: the error says which, and nobody logged in."""
    with overheard(any_secured) as (port, heard):
        await refused(url_of(port, folder, options), f"^tidb: the server's certificate is refused: .*{why}")
    assert len(heard) == 2
    assert all(map(is_greeting, heard))


async def test_what_is_overheard_shows_a_login(right: Server, folder: Path) -> None:
    """The test's own ear hears more where the certificate is right, so that its silence says something."""
    with overheard(right) as (port, heard):
        await taken(url_of(port, folder, LIKE_TIDB_CLOUD))
    assert heard
    assert not any(map(is_greeting, heard))


async def test_another_name_is_taken_where_that_is_asked_for(elsewhere: Server, folder: Path) -> None:
    """With ssl_verify_identity=false the authority still has to be the right one."""
    options = {"ssl_ca": "right", "ssl_verify_cert": "true", "ssl_verify_identity": "false"}
    assert await taken(url_of(port_of(elsewhere), folder, options))
    await refused(url_of(port_of(elsewhere), folder, options | {"ssl_ca": "wrong"}), "unable to get local issuer")


@pytest.mark.parametrize("any_secured", ["right", "expired", "elsewhere"], indirect=True)
@pytest.mark.parametrize(
    "options", [{"ssl_verify_cert": "false"}, {"ssl_verify_cert": "false", "ssl_ca": "wrong"}], ids=str
)
async def test_every_certificate_is_taken_where_that_is_asked_for(
    any_secured: Server, folder: Path, options: dict[str, str]
) -> None:
    """With ssl_verify_cert=false all is encrypted still."""
    assert await taken(url_of(port_of(any_secured), folder, options))


async def test_without_these_options_nothing_is_encrypted(right: Server, folder: Path) -> None:
    """TLS is not used by chance, without anything checked."""
    assert not await taken(url_of(port_of(right), folder, {}))


@pytest.mark.parametrize(
    "options", [LIKE_TIDB_CLOUD, {"ssl_verify_cert": "true"}, {"ssl_verify_cert": "false"}], ids=str
)
async def test_a_server_without_tls_is_told_nothing(server: Server, folder: Path, options: dict[str, str]) -> None:
    """Where TLS is asked for, it hears neither user nor password."""
    with overheard(server) as (port, heard):
        await refused(url_of(port, folder, options, "root:s3cret"), r"^tidb: no TLS with the server \(it offers none\)")
    assert heard == [b"", b""]


async def test_a_user_who_has_to_use_tls_is_told_what_to_add(
    right: Server, authority: trustme.CA, folder: Path
) -> None:
    """And with that it works."""
    user = f"u{uuid4().hex[:8]}"
    administer(right, authority, f"CREATE USER {user} IDENTIFIED BY 'pw' REQUIRE SSL", f"GRANT ALL ON test.* TO {user}")
    await refused(url_of(port_of(right), folder, {}, f"{user}:pw"), "1045: .*ssl_verify_cert=true")
    assert await taken(url_of(port_of(right), folder, LIKE_TIDB_CLOUD, f"{user}:pw"))


async def test_a_server_that_wants_tls_of_all_is_told_of(right: Server, authority: trustme.CA, folder: Path) -> None:
    """Its error says what to add, and with that it works."""

    def all_have_to() -> bool:
        # A busy one was seen to take a plain connection right after it, once.
        administer(right, authority, "SET GLOBAL require_secure_transport = ON")
        host, port = parts(right)
        try:
            pymysql.connect(host=host, port=port, user="root", ssl_disabled=True).close()
        except pymysql.err.OperationalError:
            return True
        return False

    try:
        eventually(all_have_to)
        await refused(url_of(port_of(right), folder, {}), "3159: it wants TLS: add ssl_verify_cert=true to the URL")
        assert await taken(url_of(port_of(right), folder, LIKE_TIDB_CLOUD))
    finally:
        administer(right, authority, "SET GLOBAL require_secure_transport = OFF")


@pytest.mark.parametrize(
    ("options", "is_taken"),
    [
        ({"ssl_cert": "right.client", "ssl_key": "right.key"}, True),
        ({"ssl_cert": "right.both"}, True),
        ({}, False),
        ({"ssl_cert": "wrong.client", "ssl_key": "wrong.key"}, False),
    ],
    ids=str,
)
async def test_a_certificate_is_shown_to_the_server(
    right: Server, authority: trustme.CA, folder: Path, options: dict[str, str], is_taken: bool
) -> None:
    """A user who has to have one may have its key in the same file or another one."""
    user = f"u{uuid4().hex[:8]}"
    administer(right, authority, f"CREATE USER {user} REQUIRE X509", f"GRANT ALL ON test.* TO {user}")
    url = url_of(port_of(right), folder, LIKE_TIDB_CLOUD | options, user)
    if is_taken:
        assert await taken(url)
    else:
        await refused(url, "1045: .*ssl_cert" if not options else r"no TLS with the server \(.*UNKNOWN_CA\)")
