"""What a store's URL, its options and a session brought along say of the way to the cluster."""

import socket
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from zipfile import BadZipFile, ZipFile

from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.policies import ConstantReconnectionPolicy, DCAwareRoundRobinPolicy, TokenAwarePolicy

from backscroll.backend import URL
from backscroll.errors import InvalidOption, InvalidURL, StorageError
from backscroll.options import fill
from backscroll.tls import context_of
from backscroll.url import parse_url
from backscroll_cassandra.connections import GLOBAL, LOCAL, Connections
from backscroll_cassandra.layout import Tables
from backscroll_cassandra.options import CassandraOptions, identifier
from backscroll_cassandra.refusals import not_connected

PORT: Final = 9042
"""The port of a node where the URL gives none."""

CONNECT_SECONDS: Final = 3.0
"""How long a node may take to answer a first connection; then the next one is tried."""

SILENT_SECONDS: Final = 2.0
"""After how many seconds without an answer a connection is tried out."""

HEARTBEAT_SECONDS: Final = 5.0
"""How long that may take before it is given up: a large answer under way comes first."""

NO_DELAY: Final = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
"""Without it, each request of 4 KiB or more waits for the delayed acknowledgement of its first half, 40 ms."""


def connections(url: URL, options: CassandraOptions) -> Connections:
    """The connections to the cluster.

    Raises:
        InvalidURL: The URL names no keyspace.
        InvalidOption: Options do not go together.
    """
    keyspace = options.keyspace or _of_url(url)
    connect = _brought(url, options) if options.session is not None else _connecting(url, options)
    return Connections(
        connect,
        owns=options.session is None,
        tables=Tables(keyspace, options.prefix),
        levels=GLOBAL if options.consistency == "global" else LOCAL,
        protocol_version=options.protocol_version,
        largest=options.max_turn_bytes,
        makes_keyspace=options.setup == "auto" and options.replication is not None,
    )


def connected(url: str, **options: Any) -> tuple[Any, str]:
    """Connect to the cluster that a store with this URL and these options would ask.

    Returns:
        A session of the driver, which the caller shuts down with its cluster, and the name of the keyspace.

    Raises:
        InvalidURL: The URL cannot be read, or names no keyspace.
        InvalidOption: Options that do not exist, or do not go together.
        Unavailable: No node can be reached.
        StorageError: One was, and refuses.
    """
    parsed = parse_url(url)
    filled = fill(CassandraOptions, parsed.scheme, parsed.query, options)
    keyspace = filled.keyspace or _of_url(parsed)
    connect = _connecting(parsed, filled)
    try:
        return connect(), keyspace
    except Exception as error:  # noqa: BLE001 - told as one of ours
        problem = not_connected(error, filled.protocol_version)
    # Raised behind the handler, because what led to the error may hold addresses.
    raise problem


def _of_url(url: URL) -> str:
    try:
        return identifier(url.path.strip("/"))
    except ValueError:
        raise InvalidURL(
            f"{url.family}: the URL has to name a keyspace: cassandra://host1,host2:9042/keyspace (a letter and up to "
            "47 letters, digits and _), or give it as keyspace"
        ) from None


def _brought(url: URL, options: CassandraOptions) -> Callable[[], Any]:
    session = options.session
    if not isinstance(session, Session):
        raise InvalidOption("cassandra: session: expected a Session of the DataStax driver")
    if url.hosts or url.username or options.secure_connect_bundle or options.wants_tls:
        raise InvalidOption(
            "cassandra: session: it has connections of its own: give neither hosts nor a user, nor what is for TLS"
        )
    if not has_no_delay(session):
        warnings.warn(
            "cassandra: the Cluster of this session leaves TCP_NODELAY off, so that each request of 4 KiB or more "
            "takes 40 ms: give it sockopts=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]",
            RuntimeWarning,
            stacklevel=2,
        )

    def brought() -> Any:
        if session.is_shutdown:
            raise StorageError("cassandra: session: it was shut down: bring one that is open")
        if session.cluster.protocol_version < 4:
            raise StorageError("cassandra: session: its protocol_version is below 4")
        reached = {pool.host.datacenter for pool in session.get_pools()}
        if len(reached) > 1 and options.consistency == "local":
            raise StorageError(
                "cassandra: session: it reaches several data centres, which decide for themselves: give it a policy "
                "for one of them, or open the store with consistency=global"
            )
        return session

    return brought


def has_no_delay(session: Any) -> bool:
    """Whether the connections of a session send at once."""
    return any(tuple(each[:2]) == NO_DELAY[:2] and each[2] for each in session.cluster.sockopts or ())


def _connecting(url: URL, options: CassandraOptions) -> Callable[[], Any]:
    settings = _of_astra(url, options) if url.family == "astra" else _of_nodes(url, options)

    def connect() -> Any:
        policy = DCAwareRoundRobinPolicy(options.local_dc) if options.local_dc else DCAwareRoundRobinPolicy()
        profile = ExecutionProfile(load_balancing_policy=TokenAwarePolicy(policy))
        cluster = Cluster(
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            protocol_version=options.protocol_version,
            sockopts=[NO_DELAY],
            connect_timeout=CONNECT_SECONDS,
            control_connection_timeout=CONNECT_SECONDS,
            idle_heartbeat_interval=SILENT_SECONDS,
            idle_heartbeat_timeout=HEARTBEAT_SECONDS,
            reconnection_policy=ConstantReconnectionPolicy(1.0, max_attempts=None),
            **settings,
        )
        try:
            try:
                session = cluster.connect()
            finally:
                _check_local_dc(cluster, options)  # also where none of its nodes is in that data centre
        except BaseException:
            cluster.shutdown()
            raise
        return session

    return connect


def _check_local_dc(cluster: Any, options: CassandraOptions) -> None:
    known = sorted({host.datacenter for host in cluster.metadata.all_hosts() if host.datacenter})
    if options.local_dc is None and len(known) > 1:
        raise StorageError(f"cassandra: the cluster has several data centres: give local_dc, one of {', '.join(known)}")
    if options.local_dc is not None and known and options.local_dc not in known:
        raise StorageError(f"cassandra: local_dc: the cluster has no such data centre, only {', '.join(known)}")


def _of_nodes(url: URL, options: CassandraOptions) -> dict[str, Any]:
    if options.secure_connect_bundle or options.token:
        raise InvalidOption("cassandra: secure_connect_bundle and token are for astra://")
    tls = context_of("cassandra", options)
    return {
        "contact_points": [(host.name, host.port or PORT) for host in url.hosts] or [("localhost", PORT)],
        "auth_provider": PlainTextAuthProvider(url.username, url.password or "") if url.username else None,
        "ssl_context": tls,
    }


def _of_astra(url: URL, options: CassandraOptions) -> dict[str, Any]:
    token = options.token or url.password
    if url.hosts or options.secure_connect_bundle is None or token is None:
        raise InvalidOption(
            "astra: open it by astra:///keyspace?secure_connect_bundle=/path/to/bundle.zip and a token, as an option"
        )
    return {
        "cloud": {
            "secure_connect_bundle": options.secure_connect_bundle,
            "use_default_tempdir": True,  # the folder of the bundle may be read-only
            "ssl_context": _tls_of_bundle(options.secure_connect_bundle),
        },
        "auth_provider": PlainTextAuthProvider("token", token),
    }


def _tls_of_bundle(path: str) -> ssl.SSLContext:
    """What is shown to Astra, and by whom its certificates are signed; names are those of nodes, which tell nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    try:
        with ZipFile(path) as bundle, TemporaryDirectory() as folder:
            bundle.extract("cert", folder)
            bundle.extract("key", folder)
            context.load_verify_locations(cadata=bundle.read("ca.crt").decode())
            context.load_cert_chain(Path(folder, "cert"), Path(folder, "key"), password="")
    except (BadZipFile, KeyError, ValueError, OSError):
        raise InvalidOption(
            "astra: secure_connect_bundle: the file is no bundle with config.json, ca.crt, cert and key"
        ) from None
    return context
