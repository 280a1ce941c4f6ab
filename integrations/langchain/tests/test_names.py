"""The drop-ins are found by their names, and their drivers only when they are asked for."""

import subprocess
import sys

import pytest

import backscroll_langchain

WITHOUT_DRIVERS = """
import sys
import backscroll_langchain
print(sorted({"redis", "sqlalchemy", "pymysql", "cassandra", "confluent_kafka"} & set(sys.modules)))
"""


def test_importing_the_package_imports_no_driver() -> None:
    """Nor what stands on one."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DRIVERS], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_name_that_is_none_is_told() -> None:
    """As every module does."""
    with pytest.raises(AttributeError, match="no attribute 'NoSuchHistory'"):
        _ = backscroll_langchain.NoSuchHistory


@pytest.mark.parametrize("name", sorted(backscroll_langchain._LAZY))
def test_each_drop_in_is_there(name: str) -> None:
    """By its name, and in what the package lists."""
    assert getattr(backscroll_langchain, name).__name__ == name
    assert name in dir(backscroll_langchain)


def test_a_driver_that_is_missing_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra."""
    monkeypatch.setitem(backscroll_langchain._LAZY, "NoSuchHistory", ("no_such_module", "redis"))
    with pytest.raises(ImportError, match=r'NoSuchHistory needs .*: pip install "backscroll-langchain\[redis\]"'):
        _ = backscroll_langchain.NoSuchHistory
