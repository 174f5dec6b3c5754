"""The apps of one run, one for each life: registered before anything is made, forgotten when all is gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from docker.errors import DockerException

from harness.errors import CcCiError, InfraError
from harness.host import signals
from harness.naming import app_domain, stack_name
from harness.runs import registry
from harness.runs.recorder import Recorder
from harness.settings import Settings
from harness.suites.app import App
from harness.swarm import containers, engine, remove, scale_down

LOG_LINES = 2000
KEEP = 2 * 3600.0  # seconds a kept app stays up


@dataclass
class Apps:
    """The lives of one run; no two of its apps stand at the same time.

    token: makes the unique part of an app's name for a life. env_path: says where abra keeps an app's
    env file. `by_life` are those that stand, by life; `stacks` are all names ever taken; `current` is the
    life entered last.
    """

    settings: Settings
    run: str
    run_dir: Path
    recipe: str
    recorder: Recorder
    token: Callable[[str], str]
    env_path: Callable[[App], Path]
    by_life: dict[str, App] = field(default_factory=dict)
    stacks: list[str] = field(default_factory=list)
    current: str = ""
    _entries: dict[str, registry.Entry] = field(default_factory=dict)

    @property
    def domains(self) -> list[str]:
        """The domains of apps that are still registered: something of them may be left."""
        return list(self._entries)

    @property
    def are_over(self) -> bool:
        """Whether nothing of any app is left."""
        return not self._entries and not self.by_life

    def enter(self, life: str) -> App:
        """Return the app of a life; the app of another life is torn down first.

        Raises:
            UsageError: a name of the app would be too long, says by how much.
        """
        if life not in self.by_life:
            for other in list(self.by_life):
                self.tear_down(self.by_life[other])
            with signals.deferred():  # a registered app that is not known would not be torn down
                self.by_life[life] = self._mint(life)
        self.current = life
        return self.by_life[life]

    def _mint(self, life: str) -> App:
        domain = app_domain(self.token(life), self.recipe, self.settings.apps_domain)
        stack = stack_name(domain)
        self.stacks.append(stack)
        left = remove.leftovers(engine.client(), stack)
        if left:
            names = ", ".join(f"{item.kind} {item.name}" for item in left)
            raise InfraError(f"'{stack}' is a new name, yet there is: {names}")
        self._entries[domain] = registry.register(
            self.settings,
            domain=domain,
            stack=stack,
            run=self.run,
            run_dir=self.run_dir,
            recipe=self.recipe,
            life=life,
        )
        return App(
            domain=domain,
            stack=stack,
            recipe=self.recipe,
            life=life,
            settings=self.settings,
            progress=lambda line: self.recorder.say(line, life),
        )

    def stop(self, app: App) -> None:
        """Stop the app for the negative controls: nothing of it runs, everything else is there."""
        if app.stopped:
            return
        with self.recorder.phase("stop", app.life):
            self._save_logs(app)
            scale_down.stop(app.stack)
        app.stopped = True

    def tear_down(self, app: App) -> tuple[remove.Leftover, ...]:
        """Save the app's logs, then remove it by force; return what would not go."""
        with self.recorder.phase("teardown", app.life):
            engine.await_engine(self.recorder.say)
            if not app.stopped:
                self._save_logs(app)
            left = remove.remove_stack(
                engine.client(),
                app.stack,
                env_file=self.env_path(app),
                progress=self.recorder.say,
            )
        if not left:
            with signals.deferred():
                registry.forget(self.settings, self._entries.pop(app.domain))
                self.by_life.pop(app.life, None)
        for item in left:
            self.recorder.note(f"could not remove {item.kind} '{item.name}': {item.why}")
        return left

    def _save_logs(self, app: App) -> None:
        """Keep the last 2,000 log lines of every service.

        What cannot be saved is noted: evidence is no reason to leave an app standing.
        """
        try:
            for service in engine.view(app.stack).services:
                lines = containers.logs(app.stack, service.name, lines=LOG_LINES)
                self.recorder.keep_log(app.life, service.name, "\n".join(lines) + "\n")
        except (CcCiError, DockerException, OSError) as error:
            self.recorder.note(f"could not save the logs of life '{app.life}': {error}")

    # -- the end

    def keep(self) -> None:
        """Leave what stands up for two hours, and say how to get at it."""
        until = time.time() + KEEP
        clock = time.strftime("%H:%M", time.localtime(until))
        for app in self.by_life.values():
            registry.keep(self.settings, app.domain, until=until)
            self.recorder.say(
                f"kept: https://{app.domain} for 2 h (until {clock}); "
                f"attach: cc-ci attach {app.domain}; clean up: cc-ci janitor --now {app.domain}"
            )

    def end(self) -> None:
        """Tear down what still stands; what cannot be is noted and left to the janitor."""
        for app in list(self.by_life.values()):
            try:
                self.tear_down(app)
            except (CcCiError, DockerException, OSError) as error:
                self.recorder.note(f"could not tear down '{app.domain}', the janitor will: {error}")

    def let_go(self) -> None:
        """Give up the entries of what is left."""
        for entry in self._entries.values():
            entry.close()
