"""Copying sessions from another database and to another one."""

from backscroll_conformance.containers import Server
from backscroll_conformance.copies import there_and_back


def test_a_copy_keeps_everything(server: Server) -> None:
    """Whatever is copied in and out again stays the same, also where a copy was killed on the way."""
    there_and_back(server.url)
