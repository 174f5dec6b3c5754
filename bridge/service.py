"""The bridge as one process: its parts, their loops, and how they wake each other."""

from __future__ import annotations

import logging
import threading
import time

from bridge.answers.publisher import Publisher
from bridge.answers.sticky_comment import Links
from bridge.bridge import Context
from bridge.builds.watcher import Watcher
from bridge.clients.drone import Drone
from bridge.clients.gitea import Gitea
from bridge.clients.http import Backoff, CallError
from bridge.comments.decider import Decider
from bridge.comments.guards import Guards
from bridge.comments.listener import Listener
from bridge.loop import Loop
from bridge.settings import Settings
from bridge.store import Store
from bridge.web.endpoints import WebhookEvent, make_app
from bridge.web.server import Server
from contract import enrolled

STOP_TIMEOUT = 10.0  # seconds for steps in progress when the bridge stops
MAX_MISSED_POLLS = 3  # polls of the forge that may fail before `/healthz` reports it
POLL_GRACE = 30.0  # seconds in addition to the missed polls
log = logging.getLogger("bridge")


class Service:
    """All parts of the bridge. Everything in progress is in the store, so stopping loses nothing."""

    def __init__(self, settings: Settings, store: Store, bot: str) -> None:
        self.settings = settings
        self._store = store
        self._started = time.monotonic()
        gitea = Gitea(settings.gitea_url, settings.gitea_token.get_secret_value())
        token = settings.drone_token.get_secret_value()
        drone = Drone(settings.drone_url, token, settings.drone_repo, settings.drone_branch)
        rules = Guards(
            org=settings.gitea_org,
            bot=bot,
            allowed=frozenset(settings.allowed),
            ignored=frozenset(settings.ignored),
            enrolled=lambda: enrolled.recipes(settings.recipes_dir),
        )
        links = Links(f"{settings.links}/{settings.drone_repo}", settings.runs_url)
        self._listener = Listener(
            gitea, store, rules, settings.poll_seconds, on_command=lambda: self._deciding.wake()
        )
        decider = Decider(Context(gitea, store, rules), on_decision=self._on_decision)
        publisher = Publisher(gitea, store, links, bot)
        self._watcher = Watcher(
            drone,
            gitea,
            store,
            check_every=settings.poll_seconds,
            silence=settings.silence_seconds,
            start_within=settings.start_within,
            on_change=lambda: self._publishing.wake(),
            wake=lambda: self._watching.wake(),
        )
        self._listening = Loop("listener", self._listener.step)
        self._deciding = Loop("decider", decider.step)
        self._watching = Loop("watcher", self._watcher.step)
        self._publishing = Loop("publisher", publisher.step)
        self.loops = (self._publishing, self._watching, self._deciding, self._listening)

    def _on_decision(self) -> None:
        self._publishing.wake()
        self._watching.wake()

    def _on_event(self, event: WebhookEvent) -> None:
        if event.repo.partition("/")[0].lower() != self.settings.gitea_org.lower():
            return
        if event.comment is not None:
            self._listener.request_read(event.repo, event.comment, event.head)
            self._listening.wake()
        else:
            self._watcher.recheck(event.repo, event.pr)
            self._watching.wake()

    def _on_rejected(self) -> None:
        self._listener.request_scan()
        self._listening.wake()

    def problems(self) -> list[str]:
        """Return a sentence for each problem, an empty list if the bridge is healthy."""
        now = time.monotonic()
        found = [
            f"loop '{loop.name}' has stopped; restart the bridge"
            for loop in self.loops
            if not loop.alive
        ]
        poll = self.settings.poll_seconds
        since = now - max(self._listener.last_success, self._started)
        if poll and since > MAX_MISSED_POLLS * poll + POLL_GRACE:
            found.append(f"the forge could not be read for {since:.0f} s")
        try:
            self._store.active()
        except Exception as error:  # of any kind: the operator has to see it here
            found.append(f"cannot read the database: {error}")
        return found

    def serve(self, stopping: threading.Event) -> None:
        """Run until `stopping` is set, then stop all loops and the web server.

        Raises:
            CannotListen: the address to listen on is not available.
        """
        host, _, port = self.settings.listen.rpartition(":")
        hook_secret = self.settings.hook_secret
        secret = hook_secret.get_secret_value() if hook_secret else None
        app = make_app(secret, self._on_event, self.problems, self._on_rejected)
        server = Server(app, host, int(port))
        for loop in self.loops:
            loop.start()
        serving = threading.Thread(target=server.run, name="web", daemon=True)
        serving.start()
        log.info(
            "listening on %s; polling every %g s", self.settings.listen, self.settings.poll_seconds
        )
        stopping.wait()
        log.info("stopping; active runs are stored and resumed at the next start")
        self._stop_loops()
        server.close()
        serving.join(STOP_TIMEOUT)

    def _stop_loops(self) -> None:
        self._watcher.stop()
        for loop in self.loops:
            loop.stop()
        end = time.monotonic() + STOP_TIMEOUT
        for loop in self.loops:
            loop.join(max(0.0, end - time.monotonic()))


def bot_login(settings: Settings, stopping: threading.Event) -> str | None:
    """Return the login of the bot, retrying until the forge answers; None if stopped before.

    Raises:
        CallError: the forge does not accept the token.
    """
    gitea = Gitea(settings.gitea_url, settings.gitea_token.get_secret_value())
    backoff = Backoff()
    while not stopping.is_set():
        try:
            return gitea.login()
        except CallError as error:
            if not error.transient:
                raise
            pause = backoff.failed(error)
            log.warning("%s; retrying in %.0f s", error, pause)
            stopping.wait(pause)
    return None
