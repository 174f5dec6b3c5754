"""Run the stand-in: `python -m sandbox.abra`."""

import sys

from sandbox.abra.cli import main

sys.exit(main(sys.argv[1:]))
