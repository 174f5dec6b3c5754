"""Runs the HTTP interface and the runner in one process until a signal stops it.

On the first SIGTERM or SIGINT the runner drains: it takes no new stage, the interface keeps answering, and
the process exits when the running stages have finished. A second signal kills the process immediately.
Processes that steps have started never get a signal.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

from waitress.server import create_server

from sandbox.standins.drone.config import Config
from sandbox.standins.drone.runner.runner import Runner
from sandbox.standins.drone.server import api
from sandbox.standins.drone.server.build_service import BuildService
from sandbox.standins.drone.server.forge import Forge
from sandbox.standins.drone.server.store import Store
from sandbox.standins.drone.server.trigger import Trigger

MAX_THREADS = 32  # each follower of a log and each wait for a missing .drone.yml occupies one


def serve(config: Config) -> None:
    """Serve until SIGTERM or SIGINT; never returns."""
    config.data.mkdir(parents=True, exist_ok=True)
    builds, exiting = BuildService(config, Store(config.data)), threading.Event()
    trigger = Trigger(builds, Forge(config.data / "mirrors"), exiting)
    http = create_server(
        api.create_app(builds, trigger),
        host="127.0.0.1",
        port=config.port,
        threads=MAX_THREADS,
        ident=None,
    )
    runner = Runner(builds)

    def drain(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        threading.Thread(target=builds.drain, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, drain)
    runner.start()
    threading.Thread(target=http.run, daemon=True).start()
    print(f"drone stand-in: {config.public_url}, data in {config.data}", flush=True)
    runner.wait()
    exiting.set()
    os._exit(0)  # a normal exit would wait for the threads of log followers
