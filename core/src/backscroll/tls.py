"""TLS: the options of every backend whose driver takes a context of Python's `ssl`, and the context they ask for."""

import ssl
from typing import Any

import attrs

from backscroll.errors import InvalidOption
from backscroll.options import BackendOptions, a_file, option, truth


@attrs.frozen(kw_only=True)
class TLSOptions(BackendOptions):
    """The options that every backend has, and what is checked of the server and shown to it."""

    ssl_ca: str | None = option(None, a_file, "the file with the certificates to trust instead of the system's")
    ssl_cert: str | None = option(None, a_file, "the file with the certificate to show")
    ssl_key: str | None = option(None, a_file, "the file with the key of that certificate")
    ssl_verify_cert: bool | None = option(
        None, truth, "with any of these five, TLS is used; false takes every certificate"
    )
    ssl_verify_identity: bool | None = option(None, truth, "false takes a certificate for another host, too")

    @property
    def wants_tls(self) -> bool:
        """Whether any of these is given."""
        given: tuple[Any, ...] = (self.ssl_ca, self.ssl_cert, self.ssl_key)
        return any(each is not None for each in (*given, self.ssl_verify_cert, self.ssl_verify_identity))


def context_of(family: str, options: TLSOptions) -> ssl.SSLContext | None:
    """What is checked of the server, where TLS is asked for; None where it is not.

    Args:
        family: What the errors begin with.
        options: The options of the store.

    Raises:
        InvalidOption: Options that do not go together, or a file that holds no certificate.
    """
    if not options.wants_tls:
        return None
    if options.ssl_verify_cert is False and options.ssl_verify_identity:
        raise InvalidOption(
            f"{family}: ssl_verify_identity: without ssl_verify_cert there is nothing to trust in a name"
        )
    if options.ssl_key is not None and options.ssl_cert is None:
        raise InvalidOption(f"{family}: ssl_key: give the certificate, too, as ssl_cert")
    try:
        context = ssl.create_default_context(cafile=options.ssl_ca)
        if options.ssl_cert is not None:
            context.load_cert_chain(options.ssl_cert, options.ssl_key, password="")  # it would ask the terminal
    except OSError:
        raise InvalidOption(
            f"{family}: ssl_ca, ssl_cert or ssl_key: the file cannot be read as what it should be"
        ) from None
    # The certificates that servers make for themselves lack what Python 3.13 began to ask for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if options.ssl_verify_cert is False:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif options.ssl_verify_identity is False:
        context.check_hostname = False
    return context
