"""The command line ``backscroll``, an extra: ``pip install 'backscroll[cli]'``.

`app` holds the commands together, `failures` and `exit_codes` say how a command ends, `output` what may stand on
stdout. The commands are in `writing`, `reading`, `exchange` (import and export), `upkeep` and `tour`.
"""

import sys
from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> int:
    """Run one command; never raises.

    Args:
        args: The arguments; those of the process when None.

    Returns:
        The exit code, one of `exit_codes.ExitCode` unless the command of a plugin chose another.
    """
    from backscroll.cli.exit_codes import ExitCode

    try:
        try:
            import click  # noqa: F401
            import rich  # noqa: F401
        except ImportError:
            print(  # noqa: T201
                "error: the command line needs click and rich: pip install 'backscroll[cli]'", file=sys.stderr
            )
            return ExitCode.USAGE
        from backscroll.cli.app import run

        return run(sys.argv[1:] if args is None else args)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
