"""A store in memory and a session on it; nothing of the SDK goes to the network."""

import os
from collections.abc import Iterator

import pytest
from agents import set_tracing_disabled

import backscroll
from backscroll import Store
from backscroll_openai_agents import BackscrollSession

os.environ.pop("OPENAI_API_KEY", None)
set_tracing_disabled(disabled=True)


@pytest.fixture
def store() -> Iterator[Store]:
    """A store in memory."""
    with backscroll.open("sqlite://") as store:
        yield store


@pytest.fixture
def session(store: Store) -> BackscrollSession:
    """A session on it."""
    return BackscrollSession("s", store)
