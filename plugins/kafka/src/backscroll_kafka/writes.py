"""Records on their way to the brokers: each ends by its report, by its deadline, or with the store."""

from collections.abc import Callable
from typing import Any, NamedTuple

from confluent_kafka import KafkaError

from backscroll.backend import Deadline
from backscroll.errors import OutcomeUnknown
from backscroll_kafka.waiting import Waiter


class Written(NamedTuple):
    """Where a record was written."""

    offset: int
    is_sure: bool
    """False where there may be an earlier copy: when one record times out, the driver sends others anew"""


class Writes:
    """The records under way.

    Args:
        told: What an error of the driver's means for a record that was handed over.
    """

    def __init__(self, told: Callable[[BaseException | KafkaError], BaseException]) -> None:
        self._told = told
        self._waiters: dict[Waiter, Deadline] = {}
        self._failed = 0
        """How many records the driver gave up."""

    def send(self, waiter: Waiter, deadline: Deadline, produce: Callable[..., None]) -> None:
        """Hand a record over.

        Args:
            waiter: Is given a `Written`, or fails.
            deadline: By when.
            produce: Hands it to the driver, with what is to be told of it as ``on_delivery``.

        Raises:
            KafkaException: The driver does not take it.
            BufferError: Likewise, since too much is under way.
        """
        failed = self._failed

        def reported(error: KafkaError | None, message: Any) -> None:
            self._waiters.pop(waiter, None)
            if error is not None:
                self._failed += 1
                waiter.fail(self._told(error))
            else:
                waiter.give(Written(message.offset(), failed == self._failed))

        self._waiters[waiter] = deadline
        try:
            produce(on_delivery=reported)
        except BaseException:
            self._waiters.pop(waiter, None)
            raise

    def give_up_late(self) -> None:
        """End those whose time is up."""
        for waiter, deadline in list(self._waiters.items()):
            if not deadline.remaining():
                self._waiters.pop(waiter, None)
                waiter.fail(self._told(OutcomeUnknown(f"kafka: no answer within {deadline.seconds:g} s")))

    def fail_all(self, error: BaseException) -> None:
        """End all of them."""
        for waiter in list(self._waiters):
            waiter.fail(error)
