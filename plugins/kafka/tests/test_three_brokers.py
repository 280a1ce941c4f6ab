"""Three brokers with three replicas go on without one of them."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import attrs
import docker
import pytest
from confluent_kafka import murmur2
from confluent_kafka.admin import AdminClient
from conftest import KAFKA
from told import until

import backscroll
from backscroll import OutcomeUnknown, Store, Unavailable, WindowExceeded
from backscroll.url import parse_url
from backscroll_conformance.containers import Server, start
from backscroll_conformance.servers import is_required, running

BACK = 30.0
"""Within how many seconds every append has to be acknowledged: the default deadline."""

BEFORE, AFTER = 200, 200
"""How many turns are acknowledged before the leader is lost, and how many more after it."""

WRITERS = 4
SESSION = "stream"
LOOKED_AT = 1_000


def _address(server: Server) -> str:
    """Where the other brokers find it."""
    engine = docker.from_env()
    try:
        return str(engine.containers.get(server.container).attrs["NetworkSettings"]["IPAddress"])
    finally:
        engine.close()
