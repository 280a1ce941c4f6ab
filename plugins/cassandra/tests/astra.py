"""What stands in for Astra DB: its bundle, the service that the bundle leads to, and the proxy before the nodes."""

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
from zipfile import ZipFile

import attrs
import trustme
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable

from backscroll.hookspecs import ServerSpec
from backscroll_conformance.containers import Server

TOKEN = "AstraCS:s3cret"
ADMIN = PlainTextAuthProvider("cassandra", "cassandra")


def guarding(spec: ServerSpec) -> ServerSpec:
    """A node that asks for user and password."""
    options = spec.environment["JAVA_TOOL_OPTIONS"]
    environment = {
        "JAVA_TOOL_OPTIONS": f"{options} -Dcassandra.settings.authenticator=PasswordAuthenticator "
        "-Dcassandra.settings.authorizer=CassandraAuthorizer -Dcassandra.settings.permissions_validity=500ms",
        "CASSANDRA_AUTHENTICATOR": "PasswordAuthenticator",
    }
    return attrs.evolve(spec, environment=environment)


@contextmanager
def administrator(server: Server) -> Iterator[Any]:
    """A session of the driver on it."""
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
