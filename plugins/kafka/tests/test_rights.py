"""What users are told who lack a right."""

from typing import Any

import attrs
import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from conftest import KAFKA
from told import message, texts

import backscroll
from backscroll.errors import OutcomeUnknown, StorageError
from backscroll.url import parse_url
from backscroll_conformance.servers import running

USERS = (
    "org.apache.kafka.common.security.plain.PlainLoginModule required "
    'user_admin="secret" user_reader="secret" user_writer="secret";'
)

ENVIRONMENT = {
    "KAFKA_LISTENERS": "SASL://0.0.0.0:{port},PLAINTEXT://0.0.0.0:9094,CONTROLLER://0.0.0.0:9093",
    "KAFKA_ADVERTISED_LISTENERS": "SASL://localhost:{port},PLAINTEXT://localhost:9094",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT",
    "KAFKA_SASL_ENABLED_MECHANISMS": "PLAIN",
    "KAFKA_LISTENER_NAME_SASL_PLAIN_SASL_JAAS_CONFIG": USERS,
    "KAFKA_AUTHORIZER_CLASS_NAME": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "KAFKA_SUPER_USERS": "User:admin;User:ANONYMOUS",
}


def test_a_right_that_is_missing_is_told() -> None:
    """Reading surely did nothing; what was sent to be written may be there, and the text says why all the same."""
    url = "kafka://admin:secret@localhost:{port}/chat?security.protocol=SASL_PLAINTEXT"
    with running(attrs.evolve(KAFKA, environment=ENVIRONMENT, url=url)) as server:
        with backscroll.open(server.url) as store:
            store.append("s", message("a"))
        [host] = parse_url(server.url).hosts
        _grant(host.port or 0, "reader", AclOperation.READ)
        _grant(host.port or 0, "writer", AclOperation.WRITE)
        with backscroll.open(server.url.replace("admin", "reader")) as reader:
            assert texts(reader, "s") == ["a"]
            with pytest.raises(OutcomeUnknown, match="lacks a right on the topic or the cluster: WRITE"):
                reader.append("s", message("b"), timeout=3)
        with backscroll.open(server.url.replace("admin", "writer")) as writer:
            with pytest.raises(StorageError, match="lacks a right on the topic: READ, WRITE"):
                writer.append("s", message("b"), expected_version=0)
            with pytest.raises(StorageError, match="lacks a right on the topic: READ, WRITE"):
                writer.last("s")
        with backscroll.open(server.url) as store:
            assert texts(store, "s") == ["a"]


def _grant(port: int, user: str, right: Any) -> None:
    admin = AdminClient(
        {
            "bootstrap.servers": f"localhost:{port}",
            "security.protocol": "sasl_plaintext",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "admin",
            "sasl.password": "secret",
        }
    )
    rights = [
        AclBinding(
            ResourceType.TOPIC,
            "chat",
            ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            each,
            AclPermissionType.ALLOW,
        )
        for each in (AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS, right)
    ]
    for granted in admin.create_acls(rights).values():
        granted.result()
