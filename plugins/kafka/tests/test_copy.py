"""Copying sessions from another database and to another one."""

from backscroll_conformance.copies import there_and_back


def test_a_copy_keeps_everything(port: int, topic: str) -> None:
    """Whatever is copied in and out again stays the same, also where a copy was killed on the way."""
    there_and_back(f"kafka://localhost:{port}/{topic}?partitions=2&replication=1")
