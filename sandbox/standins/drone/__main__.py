"""Run the stand-in: `python -m sandbox.standins.drone serve --config FILE.json`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sandbox.standins.drone import config
from sandbox.standins.drone.serve import serve


def main() -> int:
    """Parse the command line and serve; return exit code 2 if the settings are wrong."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.standins.drone", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("serve", help="serve until a signal stops it")
    command.add_argument("--config", type=Path, required=True, metavar="FILE.json")
    line = parser.parse_args()
    try:
        settings = config.load(line.config)
    except config.ConfigError as error:
        print(f"drone stand-in: {error}", file=sys.stderr)
        return 2
    try:
        serve(settings)
    except OSError as error:
        print(f"drone stand-in: cannot serve on port {settings.port}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
