"""``python -m ws4py``: the same as the ``ws4py`` command."""

from __future__ import annotations

import sys

from ws4py.cli import main

if __name__ == "__main__":
    sys.exit(main())
