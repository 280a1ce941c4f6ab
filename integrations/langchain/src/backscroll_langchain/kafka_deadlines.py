"""What is left of the time that a call to Kafka may take."""

from backscroll.backend import Deadline
from backscroll.errors import DeadlineExceeded


def left(deadline: Deadline) -> float:
    """The seconds that are left.

    Raises:
        DeadlineExceeded: None are.
    """
    if not (seconds := deadline.remaining()):
        raise late(deadline)
    return seconds


def late(deadline: Deadline) -> DeadlineExceeded:
    """What a call ends with whose time is up."""
    return DeadlineExceeded(f"kafka: no answer within {deadline.seconds:g} s: are the brokers up? allow more time")
