"""The bridge as one process: its parts, their loops, and how they wake each other."""

from __future__ import annotations

import logging
import threading
import time

from bridge.answers.publisher import Publisher
from bridge.answers.sticky_comment import Links
from bridge.bridge import Desk
from bridge.builds.watcher import Watcher
from bridge.clients.drone import Drone
from bridge.clients.gitea import Gitea
from bridge.clients.http import Backoff, CallError
from bridge.comments import guards
from bridge.comments.decider import Decider
from bridge.comments.guards import Guards
from bridge.comments.listener import Listener
from bridge.loop import Loop
from bridge.settings import Settings
from bridge.store import Store
from bridge.web import endpoints, server
from bridge.web.endpoints import Stirred

STUCK = 180.0  # seconds; a step makes a handful of calls, each limited in time
GRACE = 10.0  # seconds for the steps that go on when the bridge stops
log = logging.getLogger("bridge")


class Service:
    """All parts of the bridge. Whatever is in flight stands in the store, so stopping loses nothing."""

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
            enrolled=lambda: guards.recipes(settings.recipes_dir),
        )
        links = Links(f"{settings.links}/{settings.drone_repo}", settings.runs_url)
        self._listener = Listener(
            gitea, store, rules, settings.poll_seconds, heard=lambda: self._deciding.wake()
        )
        decider = Decider(Desk(gitea, store, rules), decided=self._decided)
        publisher = Publisher(gitea, store, links, bot)
        self._watcher = Watcher(
            drone,
            gitea,
            store,
            check_every=settings.poll_seconds,
            silence=settings.silence_seconds,
            start_within=settings.start_within,
            changed=lambda: self._publishing.wake(),
            stirred=lambda: self._watching.wake(),
        )
        self._listening = Loop("listener", self._listener.step)
        self._deciding = Loop("desk", decider.step)
        self._watching = Loop("watcher", self._watcher.step)
        self._publishing = Loop("publisher", publisher.step)
        self.loops = (self._publishing, self._watching, self._deciding, self._listening)

    def _decided(self) -> None:
        self._publishing.wake()
        self._watching.wake()

    def _stirred(self, stirred: Stirred) -> None:
        if stirred.repo.partition("/")[0].lower() != self.settings.gitea_org.lower():
            return
        if stirred.comment is not None:
            self._listener.look(stirred.repo, stirred.comment, stirred.head)
            self._listening.wake()
        else:
            self._watcher.look(stirred.repo, stirred.pr)
            self._watching.wake()

    def _missed(self) -> None:
        self._listener.look_everywhere()
        self._listening.wake()

    def problems(self) -> list[str]:
        """Return what is wrong, in sentences; empty when all is well."""
        now = time.monotonic()
        found = [f"loop '{loop.name}' has ended" for loop in self.loops if not loop.alive]
        poll = self.settings.poll_seconds
        since = now - max(self._listener.last_look, self._started)
        if poll and since > 3 * poll + 30:
            found.append(f"the forge could not be read for {since:.0f} s")
        try:
            self._store.active()
        except Exception as error:  # whatever it is, the operator wants to read it here
            found.append(f"the state cannot be read: {error}")
        return found

    def serve(self, stopping: threading.Event) -> None:
        """Run until `stopping` is set, then end in order."""
        host, _, port = self.settings.listen.rpartition(":")
        secret = self.settings.hook_secret
        word = secret.get_secret_value() if secret else None
        app = endpoints.make(word, self._stirred, self.problems, self._missed)
        serving_at = server.Server(app, host, int(port))
        for loop in self.loops:
            loop.start()
        serving = threading.Thread(target=serving_at.run, name="web", daemon=True)
        serving.start()
        log.info(
            "listening on %s; polling every %g s", self.settings.listen, self.settings.poll_seconds
        )
        stopping.wait()
        log.info("stopping; what goes on is kept and taken up again")
        self._watcher.stop()
        for loop in self.loops:
            loop.stop()
        end = time.monotonic() + GRACE
        for loop in self.loops:
            loop.join(max(0.0, end - time.monotonic()))
        serving_at.close()
        serving.join(GRACE)


def who_am_i(settings: Settings, stopping: threading.Event) -> str | None:
    """Return the bot's own login, asking until the forge answers; None when told to stop before.

    Raises:
        CallError: the forge does not accept the token.
    """
    gitea = Gitea(settings.gitea_url, settings.gitea_token.get_secret_value())
    backoff = Backoff()
    while not stopping.is_set():
        try:
            return gitea.me()
        except CallError as error:
            if not error.transient:
                raise
            pause = backoff.failed(error)
            log.warning("%s; asked again in %.0f s", error, pause)
            stopping.wait(pause)
    return None
