"""The driver's client for administrators, and how its requests are repeated."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from backscroll.backend import Deadline
from backscroll.errors import Unavailable
from backscroll_kafka import keep

AGAIN: Final = 0.05
"""After how many seconds a request is repeated to which the brokers had no answer."""


class Admin:
    """One client, made at its first use, for any thread; it ends when nobody waits for it any more.

    Args:
        settings: Those of the client, which others for the same brokers may take, too.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings: Final = dict(settings)
        self._lock: Final = threading.Lock()
        self._client: Any = None

    def get(self) -> Any:
        """The client, to be held until it has answered."""
        with self._lock:
            if self._client is None:  # its truth would be whether it has something to send
                self._client = AdminClient(self.settings)
            return self._client

    def drop(self, client: Any) -> None:
        """Let the next one who asks have another client: this one waits for something of which nobody wants to know."""
        with self._lock:
            if self._client is client:
                self._client = None

    def keep(self) -> None:
        """Never free the client, in the child of a fork."""
        keep(self._client)

    def close(self) -> None:
        """Let the client go."""
        self._client = None


def insist(ask: Callable[[], Any], told: Callable[[KafkaException], BaseException], deadline: Deadline) -> Any:
    """The answer to a request that may be repeated.

    Args:
        ask: Sends it, and waits for the answer.
        told: What an error of the driver means; an `Unavailable` is asked again.
        deadline: By when.
    """
    while True:
        try:
            return ask()
        except KafkaException as error:
            problem = told(error)
        if not isinstance(problem, Unavailable) or deadline.remaining() < AGAIN:
            raise problem from None
        time.sleep(AGAIN)
