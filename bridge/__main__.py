"""Command line of the bridge.

`python -m bridge` runs it in the foreground until SIGTERM. `--settings` prints the table of settings;
`--check [recipe]` checks whether everything that `!testme` needs is there.
"""

from __future__ import annotations

import fcntl
import logging
import signal
import sys
import threading
from types import FrameType

from bridge import check, logs, settings
from bridge.clients.http import CallError
from bridge.service import Service, bot_login
from bridge.store import Store
from bridge.web.server import CannotListen

USAGE = "usage: python -m bridge [--settings | --check [recipe]]\n"
USAGE_EXIT_CODE = 4
log = logging.getLogger("bridge")


def main(argv: list[str]) -> int:
    """Run the command line.

    Returns:
        The exit code: 0 after a stop, 1 if the bridge could not start or the check found something
        missing, 4 for invalid options or settings.
    """
    if argv == ["--settings"]:
        sys.stdout.write(settings.document())
        return 0
    is_check = argv[:1] == ["--check"] and len(argv) <= 2
    if argv and not is_check:
        sys.stderr.write(USAGE)
        return USAGE_EXIT_CODE
    try:
        found = settings.load()
    except settings.SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE_EXIT_CODE
    return _check(found, *argv[1:]) if is_check else _serve(found)


def _check(found: settings.Settings, recipe: str = "") -> int:
    findings = []
    for finding in check.examine(found, recipe):
        sys.stdout.write(f"{finding.line(check.PART_WIDTH)}\n")
        sys.stdout.flush()
        findings.append(finding)
    return 0 if all(finding.ok for finding in findings) else 1


def _serve(found: settings.Settings) -> int:
    secrets = [found.gitea_token, found.drone_token]
    secrets += [found.hook_secret] if found.hook_secret else []
    logs.set_up(tuple(secret.get_secret_value() for secret in secrets))
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return _run(found, stopping)


def _run(found: settings.Settings, stopping: threading.Event) -> int:
    try:
        found.state.parent.mkdir(parents=True, exist_ok=True)
        lock = found.state.with_suffix(".lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _fail(f"another bridge uses '{found.state}'; two would do everything twice")
    except OSError as error:
        return _fail(f"cannot use '{found.state}': {error.strerror}; check BRIDGE_STATE")
    try:
        bot = bot_login(found, stopping)
    except CallError as error:
        return _fail(f"cannot start: {error}; check the token in GITEA_TOKEN_FILE")
    if bot is None:
        return 0
    try:
        Service(found, Store(found.state), bot).serve(stopping)
    except CannotListen as error:
        return _fail(f"{error}; check BRIDGE_LISTEN")
    return 0


def _fail(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
