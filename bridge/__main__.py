"""`python -m bridge`: runs the bridge in the foreground until SIGTERM.

`--settings` prints its settings; `--check [recipe]` says whether all is there that `!testme` needs.
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
from bridge.service import Service, who_am_i
from bridge.store import Store
from bridge.web.server import CannotListen

log = logging.getLogger("bridge")


def main(argv: list[str]) -> int:
    """Return the exit status: 0 after a stop, 1 when it could not start or something is missing,
    4 for wrong settings.
    """
    if argv == ["--settings"]:
        sys.stdout.write(settings.document())
        return 0
    checks = argv[:1] == ["--check"] and len(argv) <= 2
    if argv and not checks:
        sys.stderr.write("usage: python -m bridge [--settings | --check [recipe]]\n")
        return 4
    try:
        found = settings.load()
    except settings.SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 4
    if checks:
        return _check(found, *argv[1:])
    secrets = [
        found.gitea_token,
        found.drone_token,
        *([found.hook_secret] if found.hook_secret else []),
    ]
    logs.set_up(tuple(secret.get_secret_value() for secret in secrets))
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return _run(found, stopping)


def _check(found: settings.Settings, recipe: str = "") -> int:
    findings = []
    for finding in check.examine(found, recipe):
        sys.stdout.write(f"{finding.line(check.PART_WIDTH)}\n")
        sys.stdout.flush()
        findings.append(finding)
    return 0 if all(finding.ok for finding in findings) else 1


def _run(found: settings.Settings, stopping: threading.Event) -> int:
    try:
        found.state.parent.mkdir(parents=True, exist_ok=True)
        lock = found.state.with_suffix(".lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write(f"another bridge uses '{found.state}'; two would do everything twice\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"cannot use '{found.state}': {error.strerror}; set BRIDGE_STATE\n")
        return 1
    try:
        bot = who_am_i(found, stopping)
    except CallError as error:
        sys.stderr.write(f"cannot begin: {error}; is the token of GITEA_TOKEN_FILE right?\n")
        return 1
    if bot is not None:
        store = Store(found.state)
        try:
            Service(found, store, bot).serve(stopping)
        except CannotListen as error:
            sys.stderr.write(f"{error}; set BRIDGE_LISTEN\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
