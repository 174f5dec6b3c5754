"""One process: the HTTP interface and the runner, until a signal ends it.

The first SIGTERM drains: no new work is taken, the interface goes on answering, and the process
ends when the running stages have. A second one ends it at once. In no case do the steps' children
get a signal.
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
from sandbox.standins.drone.server.build_service import Server
from sandbox.standins.drone.server.forge import Forge
from sandbox.standins.drone.server.store import Store
from sandbox.standins.drone.server.trigger import Trigger

THREADS = 32  # a followed log and a wait for a missing .drone.yml each occupy one


def serve(config: Config) -> None:
    """Serve until SIGTERM or SIGINT; does not return."""
    config.data.mkdir(parents=True, exist_ok=True)
    server, ended = Server(config, Store(config.data)), threading.Event()
    trigger = Trigger(server, Forge(config.data / "mirrors"), ended)
    http = create_server(
        api.make(server, trigger),
        host="127.0.0.1",
        port=config.port,
        threads=THREADS,
        ident=None,
    )
    runner = Runner(server)

    def drain(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        threading.Thread(target=server.drain, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, drain)
    runner.start()
    threading.Thread(target=http.run, daemon=True).start()
    print(f"drone stand-in: {config.public_url}, data in {config.data}", flush=True)
    runner.wait()
    ended.set()
    os._exit(0)  # followers of logs hold threads that would be waited for
