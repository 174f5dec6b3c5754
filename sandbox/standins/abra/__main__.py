"""Run the stand-in: `python -m sandbox.standins.abra`."""

import sys

from sandbox.standins.abra.cli import main

sys.exit(main(sys.argv[1:]))
