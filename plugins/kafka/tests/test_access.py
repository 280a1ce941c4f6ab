"""Users, passwords and certificates, on a broker that asks for them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
import pytest
import trustme
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from conftest import KAFKA
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from told import message, texts

import backscroll
from backscroll.errors import StorageError
from backscroll_conformance.containers import Server, free_ports, start
from backscroll_kafka.access import settings_of

PASSWORD = "let-me-in"
SCRAM = {"SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256, "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512}

JAAS = "/jaas.conf"
MODULES = f"""KafkaServer {{
  org.apache.kafka.common.security.plain.PlainLoginModule required user_app="{PASSWORD}";
  org.apache.kafka.common.security.scram.ScramLoginModule required;
}};
"""


@attrs.frozen
class Secured:
    """A broker that is reached by three ways, and the files that clients need for them."""

    with_user: int
    with_certificate: int
    by_another_name: int
    folder: Path

    def file(self, name: str) -> str:
        """The path of a file."""
        return str(self.folder / name)


@pytest.fixture(scope="module")
def secured(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """The broker; `server` skips where none can run."""
    ports = free_ports(3)
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "right.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "wrong.pem"))
    mine = authority.issue_cert("client@example.org")
    mine.cert_chain_pems[0].write_to_path(str(folder / "client.pem"))
    (folder / "client.key").write_bytes(_key(mine, BestAvailableEncryption(PASSWORD.encode())))
    files = {f"/{name}.pem": _shown(authority.issue_cert(name)) for name in ("localhost", "example.org")}
    files |= {"/authority.pem": authority.cert_pem.bytes().decode(), JAAS: MODULES}
    listeners = dict(zip(("SASL", "CERTIFICATE", "OTHER"), ports, strict=True))
    environment = {
        "KAFKA_LISTENERS": ",".join(f"{name}://0.0.0.0:{port}" for name, port in listeners.items())
        + ",PLAINTEXT://0.0.0.0:9094,CONTROLLER://0.0.0.0:9093",
        "KAFKA_ADVERTISED_LISTENERS": ",".join(f"{name}://localhost:{port}" for name, port in listeners.items())
        + ",PLAINTEXT://localhost:9094",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": (
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_SSL,CERTIFICATE:SSL,OTHER:SSL"
        ),
        "KAFKA_SASL_ENABLED_MECHANISMS": ",".join(["PLAIN", *SCRAM]),
        "KAFKA_HEAP_OPTS": f"-Xms256m -Xmx512m -Djava.security.auth.login.config={JAAS}",
        "KAFKA_SSL_KEYSTORE_TYPE": "PEM",
        "KAFKA_SSL_KEYSTORE_LOCATION": "/localhost.pem",
        "KAFKA_LISTENER_NAME_OTHER_SSL_KEYSTORE_LOCATION": "/example.org.pem",
        "KAFKA_SSL_TRUSTSTORE_TYPE": "PEM",
        "KAFKA_SSL_TRUSTSTORE_LOCATION": "/authority.pem",
        "KAFKA_LISTENER_NAME_CERTIFICATE_SSL_CLIENT_AUTH": "required",
    }
    spec = attrs.evolve(KAFKA, environment=environment, files=files, ports=len(ports))
    started = start(spec, ports)
    try:
        yield Secured(*ports, folder)
    finally:
        started.remove()


def _key(certificate: trustme.LeafCert, encryption: Any = None) -> bytes:
    """The key of a certificate in the only form that brokers take."""
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def _shown(certificate: trustme.LeafCert) -> str:
    """What a broker needs to show a certificate."""
    chain = b"".join(pem.bytes() for pem in certificate.cert_chain_pems)
    return (_key(certificate) + chain).decode()


def works(url: str, **options: Any) -> None:
    """A turn is written and read back."""
    with backscroll.open(url, **options) as store:
        session_id = uuid4().hex
        store.append(session_id, message("a"))
        assert texts(store, session_id) == ["a"]


def is_refused(why: str, url: str, **options: Any) -> None:
    """Nothing is read, and no secret is told."""
    with backscroll.open(url, timeout=10.0, **options) as store:
        with pytest.raises(StorageError, match=why) as caught:
            store.last("s")
        assert PASSWORD not in f"{caught.value!r} {store!r} {store._backend.options!r}"
        assert "canary" not in f"{caught.value!r} {store!r} {store._backend.options!r}"


def test_user_and_password_are_shown_by_sasl_over_tls(secured: Secured) -> None:
    """In the URL or as options; wrong ones are told at once, and not repeated."""
    place = f"localhost:{secured.with_user}/chat"
    trusted = {"ssl.ca.location": secured.file("right.pem")}
    works(f"kafka://app:{PASSWORD}@{place}", **trusted)
    works(f"kafka://{place}", **trusted, **{"sasl.username": "app", "sasl.password": PASSWORD})
    works(f"kafka://{place}", **trusted, sasl_username="app", sasl_password=PASSWORD)
    is_refused("does not accept user and password", f"kafka://app:canary@{place}", **trusted)
    is_refused("does not accept user and password", f"kafka://canary:{PASSWORD}@{place}", **trusted)


@pytest.mark.parametrize("mechanism", SCRAM)
def test_user_and_password_are_shown_by_scram(secured: Secured, mechanism: str) -> None:
    """By both of its mechanisms."""
    admin = AdminClient(
        {
            "bootstrap.servers": f"localhost:{secured.with_user}",
            "security.protocol": "sasl_ssl",
            "ssl.ca.location": secured.file("right.pem"),
            "sasl.mechanism": "PLAIN",
            "sasl.username": "app",
            "sasl.password": PASSWORD,
        }
    )
    name, secret = f"user-{mechanism}", f"{PASSWORD} {mechanism}"
    known = UserScramCredentialUpsertion(name, ScramCredentialInfo(SCRAM[mechanism], 4_096), secret.encode())
    admin.alter_user_scram_credentials([known])[name].result()
    way: dict[str, Any] = {"ssl.ca.location": secured.file("right.pem"), "sasl.mechanism": mechanism}
    url = f"kafka://localhost:{secured.with_user}/chat"
    works(url, **way, sasl_username=name, sasl_password=secret)
    is_refused("does not accept user and password", url, **way, sasl_username=name, sasl_password="canary")


def test_only_the_right_certificate_is_taken(secured: Secured) -> None:
    """One of another authority, or for another host, is refused, unless that is asked for."""
    place = f"app:{PASSWORD}@localhost:{secured.with_user}/chat"
    for untrusted in ({}, {"ssl.ca.location": secured.file("wrong.pem")}):
        is_refused("no TLS with the broker", f"kafka://{place}", **untrusted)
    works(f"kafka://{place}?enable.ssl.certificate.verification=false")
    other = f"kafka://localhost:{secured.by_another_name}/chat"
    is_refused("no TLS with the broker", other, ssl_ca_location=secured.file("right.pem"))
    works(f"{other}?ssl.endpoint.identification.algorithm=none", ssl_ca_location=secured.file("right.pem"))


def test_a_certificate_of_the_client_is_shown(secured: Secured) -> None:
    """With its key, which a password may guard; without one, such a broker lets nobody in."""
    url = f"kafka://localhost:{secured.with_certificate}/chat"
    trusted = {"ssl.ca.location": secured.file("right.pem")}
    mine = {"ssl.certificate.location": secured.file("client.pem"), "ssl.key.location": secured.file("client.key")}
    works(url, **trusted, **mine, **{"ssl.key.password": PASSWORD})
    is_refused("no TLS with the broker", url, **trusted)
    is_refused("does not take the settings", url, **trusted, **mine, **{"ssl.key.password": "canary"})


def test_the_brokers_know_the_clients_by_their_name() -> None:
    """By the one that is given, or by ours."""
    for given, known in (({}, "backscroll"), ({"client.id": "kiosk"}, "kiosk")):
        with backscroll.open("kafka://localhost/chat", **given) as store:
            assert settings_of(store._backend.url, store._backend.options)["client.id"] == known


def test_what_a_store_keeps_in_memory_is_bounded_by_the_options() -> None:
    """The index and the newest messages, each by its own."""
    with backscroll.open("kafka://localhost/chat?index_mib=3&cache_mib=2") as store:
        views = store._backend._views
        assert (views._index_bytes, views._cache_bytes) == (3 << 20, 2 << 20)
