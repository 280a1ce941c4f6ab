"""``python -m backscroll``: the command line."""

import sys

from backscroll.cli import main

if __name__ == "__main__":
    sys.exit(main())
