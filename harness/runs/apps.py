"""The apps of one run, one for each life: registered before they are created, forgotten once removed."""

from __future__ import annotations

import time
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

MAX_LOG_LINES = 2000  # of each service
KEEP_TIME = 2 * 3600.0  # seconds a kept app stays up


@dataclass
class Apps:
    """The apps of one run; no two of them are deployed at the same time.

    Attributes:
        by_life: the apps that are not torn down yet, by life.
        stacks: the stack names of all apps that the run ever had.
        current: the life entered last, "" before the first.
    """

    settings: Settings
    run: str
    run_dir: Path
    recipe: str
    recorder: Recorder
    by_life: dict[str, App] = field(default_factory=dict)
    stacks: list[str] = field(default_factory=list)
    current: str = ""
    _entries: dict[str, registry.Entry] = field(default_factory=dict)

    @property
    def domains(self) -> list[str]:
        """The domains of apps that are still registered, so something of them may be left."""
        return list(self._entries)

    @property
    def all_gone(self) -> bool:
        """True if nothing of any app is left."""
        return not self._entries and not self.by_life

    def enter(self, life: str, token: str) -> App:
        """Return the app of a life; the app of another life is torn down first.

        Args:
            life: the life to enter.
            token: the unique part of the app's name, if it has to be created.

        Raises:
            UsageError: the app's name would be too long.
            InfraError: the app's name is already in use on this host.
        """
        if life not in self.by_life:
            for other in list(self.by_life):
                self.tear_down(self.by_life[other])
            with signals.deferred():  # a registered app that is missing here is never torn down
                self.by_life[life] = self._register(life, token)
        self.current = life
        return self.by_life[life]

    def _register(self, life: str, token: str) -> App:
        domain = app_domain(token, self.recipe, self.settings.apps_domain)
        stack = stack_name(domain)
        self.stacks.append(stack)
        left = remove.leftovers(engine.client(), stack)
        if left:
            names = ", ".join(f"{item.kind} {item.name}" for item in left)
            raise InfraError(
                f"the new stack name '{stack}' is already in use by {names}; remove that, then run again"
            )
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
            progress=lambda line: self.recorder.progress(line, life),
        )

    def stop(self, app: App) -> None:
        """Stop the app's tasks for the negative controls; services, volumes and secrets remain."""
        if app.stopped:
            return
        with self.recorder.phase("stop", app.life):
            self._save_logs(app)
            scale_down.stop(app.stack)
        app.stopped = True

    def tear_down(self, app: App) -> tuple[remove.Leftover, ...]:
        """Save the app's logs, then remove it by force; return what could not be removed."""
        with self.recorder.phase("teardown", app.life):
            engine.await_engine(self.recorder.progress)
            if not app.stopped:
                self._save_logs(app)
            left = remove.remove_stack(
                engine.client(),
                app.stack,
                env_file=registry.env_path(self.run_dir, app.domain),
                progress=self.recorder.progress,
            )
        if not left:
            with signals.deferred():
                registry.forget(self.settings, self._entries.pop(app.domain))
                self.by_life.pop(app.life, None)
        for item in left:
            self.recorder.note(f"could not remove {item.kind} '{item.name}': {item.why}")
        return left

    def _save_logs(self, app: App) -> None:
        """Save the last log lines of every service.

        Failures are only noted: missing logs must not prevent the teardown.
        """
        try:
            for service in engine.view(app.stack).services:
                lines = containers.logs(app.stack, service.name, lines=MAX_LOG_LINES)
                self.recorder.keep_log(app.life, service.name, "\n".join(lines) + "\n")
        except (CcCiError, DockerException, OSError) as error:
            self.recorder.note(f"could not save the logs of life '{app.life}': {error}")

    # %% The end of the run

    def keep(self) -> None:
        """Keep the deployed apps for two hours, and print how to reach them."""
        until = time.time() + KEEP_TIME
        clock = time.strftime("%H:%M", time.localtime(until))
        for app in self.by_life.values():
            registry.keep(self.settings, app.domain, until=until)
            self.recorder.progress(
                f"kept: https://{app.domain} for 2 h (until {clock}); "
                f"attach: cc-ci attach {app.domain}; clean up: cc-ci janitor --now {app.domain}"
            )

    def tear_down_all(self) -> None:
        """Tear down what is still deployed; leave to the janitor what cannot be removed."""
        for app in list(self.by_life.values()):
            try:
                self.tear_down(app)
            except (CcCiError, DockerException, OSError) as error:
                self.recorder.note(
                    f"could not tear down '{app.domain}'; the janitor will retry: {error}"
                )

    def release_entries(self) -> None:
        """Release the registry entries of what is left, so that the janitor can take them."""
        for entry in self._entries.values():
            entry.close()
