"""The options of TLS: which context they ask for, and what is refused."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from backscroll.errors import InvalidOption
from backscroll.options import fill
from backscroll.tls import TLSOptions, context_of


def context(**given: Any) -> ssl.SSLContext | None:
    """The context of a store of these options, as its URL would give them."""
    return context_of("db", fill(TLSOptions, "db", given, {}))


def test_nothing_is_encrypted_where_nothing_asks_for_it() -> None:
    """No option of the five, no TLS."""
    assert context() is None
    assert context(timeout="3") is None


@pytest.mark.parametrize(
    ("given", "mode", "name"),
    [
        ({"ssl_verify_cert": "true"}, ssl.CERT_REQUIRED, True),
        ({"ssl_verify_identity": "yes"}, ssl.CERT_REQUIRED, True),
        ({"ssl_verify_identity": "0"}, ssl.CERT_REQUIRED, False),
        ({"ssl_verify_cert": "1", "ssl_verify_identity": "no"}, ssl.CERT_REQUIRED, False),
        ({"ssl_verify_cert": "False"}, ssl.CERT_NONE, False),
    ],
    ids=str,
)
def test_all_is_checked_that_is_not_said_to_be_left_out(given: dict[str, str], mode: int, name: bool) -> None:
    """The certificate and the name in it."""
    made = context(**given)
    assert made is not None
    assert (made.verify_mode, made.check_hostname) == (mode, name)
    assert not made.verify_flags & ssl.VERIFY_X509_STRICT


def test_what_does_not_go_together_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """And a file that holds no certificate, of which nothing is told but the option."""
    file = tmp_path / "secret"
    file.write_text("no certificate")
    for given, why in (
        ({"ssl_verify_cert": "false", "ssl_verify_identity": "true"}, "without ssl_verify_cert there is nothing"),
        ({"ssl_key": str(file)}, "give the certificate, too, as ssl_cert"),
        ({"ssl_ca": str(file)}, "the file cannot be read as what it should be"),
        ({"ssl_cert": str(file)}, "the file cannot be read as what it should be"),
        ({"ssl_verify_cert": "perhaps"}, "expected true or false"),
        ({"ssl_ca": "nowhere"}, "expected the path of a file that is there"),
    ):
        with pytest.raises(InvalidOption, match=f"^db: .*ssl_.*{why}") as caught:
            context(**given)
        assert "secret" not in str(caught.value)
