"""Run `abra`: one method for each command.

Flags come first, and the same letter means different things in different commands. Every command gets a
pseudo-terminal, since several need one. JSON is parsed tolerantly: there may be log lines around it, and
keys differ in case and spelling between versions (abra 0.10 to 0.13).
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import CommandFailed, InfraError
from harness.host import proc
from harness.host.proc import Completed
from harness.secret import Secret

FATAL = re.compile(r"FATA\s+(?P<text>.*)")
SHORT_TIMEOUT, LONG_TIMEOUT = 60.0, 600.0  # seconds
MAX_JSON_STARTS = 1000  # brackets in an output at which JSON parsing is tried


class AbraFailed(CommandFailed):
    """abra failed (FATA); the message has its output."""


@dataclass(frozen=True, slots=True)
class SecretState:
    """One secret of an app as abra lists it."""

    name: str
    version: str
    created: bool


@dataclass(frozen=True, slots=True)
class Lint:
    """The result of `abra recipe lint`: the broken rules, by their severity."""

    failed: tuple[str, ...]
    warned: tuple[str, ...]


@dataclass
class Abra:
    """abra with its own data directory.

    Attributes:
        program: name or path of the program.
        directory: becomes ABRA_DIR.
        extra: more environment variables.
        progress: receives a line every 10 s while a command runs.
    """

    program: str
    directory: Path
    extra: Mapping[str, str] = field(default_factory=dict)
    progress: Callable[[str], None] = lambda line: None

    def app_backup_create(self, domain: str, *, timeout: float = LONG_TIMEOUT) -> Completed:
        """Back up one app. Success proves nothing about the snapshot; see `backup.verify`."""
        return self._run(["app", "backup", "create", "-n", domain], timeout=timeout)

    def app_cmd(
        self, domain: str, service: str, function: str, arguments: Sequence[str]
    ) -> Completed:
        """Run a function of the recipe's abra.sh in a service's container."""
        tail = ["--", *arguments] if arguments else []
        return self._run(
            ["app", "cmd", "-n", "-C", "-t", domain, service, function, *tail], timeout=LONG_TIMEOUT
        )

    def app_deploy(self, domain: str) -> Completed:
        """Deploy the checkout as it is (chaos), without abra's own wait for convergence."""
        return self._run(
            ["app", "deploy", "-n", "-o", "-C", "-D", "-c", domain], timeout=LONG_TIMEOUT
        )

    def app_new(self, recipe: str, domain: str) -> Completed:
        """Create the app's env file from the checkout's `.env.sample`."""
        return self._run(["app", "new", "-n", "-o", "-C", "-s", "default", "-D", domain, recipe])

    def app_restore(self, domain: str, *, timeout: float = LONG_TIMEOUT) -> Completed:
        """Restore the newest snapshot into the app's volumes."""
        return self._run(["app", "restore", "-n", "-C", domain], timeout=timeout)

    def app_secret_generate(self, domain: str) -> dict[str, Secret]:
        """Generate all missing secrets and return the new ones by name.

        abra exits with 1 if no secret is missing; that is an empty result, not an error.
        """
        words = ["app", "secret", "generate", "-n", "-o", "-C", "-a", "-m", domain]
        done = self._run(words, check=False, quiet=True)
        if done.exit_code != 0:
            if re.search("no secrets|nothing to generate|already exist", done.text, re.IGNORECASE):
                return {}
            fatal = FATAL.search(done.text)
            why = fatal["text"] if fatal else "no reason given"
            raise AbraFailed(f"abra could not generate the secrets of '{domain}': {why}")
        made = (row for row in _rows(done) if row.get("name") and row.get("value"))
        return {row["name"]: Secret(row["value"]) for row in made}

    def app_secret_insert(self, domain: str, name: str, version: str, file: Path) -> Completed:
        """Insert a secret from a file, so that no argument list contains its value."""
        words = ["app", "secret", "insert", "-n", "-o", "-C", "-f", domain, name, version]
        return self._run([*words, str(file)], quiet=True)

    def app_secret_ls(self, domain: str) -> list[SecretState]:
        """List the secrets that the recipe declares, and whether they exist on the server."""
        rows = _rows(self._run(["app", "secret", "ls", "-n", "-o", "-C", "-m", domain]))
        return [_secret_state(row) for row in rows]

    def app_undeploy(self, domain: str) -> Completed:
        """Undeploy the app; one that is not deployed is not an error."""
        done = self._run(["app", "undeploy", "-n", domain], check=False, timeout=LONG_TIMEOUT)
        if done.exit_code != 0 and "not deployed" not in done.text:
            raise AbraFailed(f"abra could not undeploy '{domain}': {_message(done)}")
        return done

    def recipe_lint(self, recipe: str) -> Lint:
        """Lint the checkout. The table's severity column decides, not the exit code."""
        done = self._run(["recipe", "lint", "-n", "-C", recipe], check=False)
        if done.exit_code != 0:
            raise AbraFailed(f"abra could not lint '{recipe}': {_message(done)}")
        return parse_lint(done.text)

    def version(self) -> str:
        """Return abra's version, as it prints it."""
        return self._run(["--version"]).text.strip().removeprefix("abra version ").splitlines()[0]

    def _run(
        self,
        words: Sequence[str],
        *,
        check: bool = True,
        timeout: float = SHORT_TIMEOUT,
        quiet: bool = False,
    ) -> Completed:
        """Run abra in a terminal.

        Args:
            words: its arguments.
            check: an exit code other than 0 is an error.
            timeout: seconds.
            quiet: keep its output out of error messages, because it may contain secrets.

        Raises:
            AbraFailed: `check`, and its exit code is not 0.
            InfraError: abra is not installed, or was killed.
        """
        program = shutil.which(self.program)
        if program is None:
            raise InfraError(
                f"abra was not found as '{self.program}'; install it, or set CCCI_ABRA to its path"
            )
        shown = " ".join(["abra", *words[:3]])
        done = proc.run(
            [program, *words],
            timeout=timeout,
            env=self._environment(),
            terminal=True,
            check=False,
            progress=self.progress,
            shown=shown,
        )
        if done.exit_code < 0:
            # Killed, perhaps because memory ran out: says nothing about the recipe.
            raise InfraError(f"'{shown}' was killed by {signal.Signals(-done.exit_code).name}")
        if check and done.exit_code != 0:
            output = "(output hidden: it may contain secrets)" if quiet else _message(done)
            raise AbraFailed(f"'{shown}' failed with exit code {done.exit_code}: {output}")
        return done

    def _environment(self) -> dict[str, str]:
        passed = ("PATH", "HOME", "USER", "DOCKER_HOST", "DOCKER_CONFIG", "CCCI_RUN")
        base = {key: os.environ[key] for key in passed if key in os.environ}
        fixed = {
            "TERM": "dumb",
            "COLUMNS": "400",
            "NO_COLOR": "1",
            "LC_ALL": "C.UTF-8",
            "LANG": "en",
        }
        return {**base, **fixed, "ABRA_DIR": str(self.directory), **self.extra}


def parse_lint(text: str) -> Lint:
    """Parse abra's lint table: columns ref, rule, severity, satisfied, skipped, resolve.

    The severity column decides instead of a list of rules, since newer versions of abra may have more.
    """
    failed: list[str] = []
    warned: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"[│┃|]", line)]
        cells = [cell for cell in cells if cell] if cells and not cells[0] else cells
        if len(cells) < 4 or not re.fullmatch(r"R\d+", cells[0]):
            continue
        ref, rule, severity, satisfied, *rest = cells
        skipped = bool(rest) and "✅" in rest[0]
        if "❌" in satisfied and not skipped:
            resolve = f" ({rest[1]})" if len(rest) > 1 and rest[1] else ""
            (failed if severity == "error" else warned).append(f"{ref} {rule}{resolve}")
    return Lint(tuple(failed), tuple(warned))


def _json(done: Completed) -> Any:
    """Return the JSON in abra's output; there may be log lines before and after it.

    Raises:
        AbraFailed: no JSON begins at one of the first 1,000 brackets.
    """
    for match in itertools.islice(re.finditer(r"[\[{]", done.out), MAX_JSON_STARTS):
        try:
            value, _ = json.JSONDecoder().raw_decode(done.out, match.start())
        except ValueError:
            continue
        except RecursionError:
            break  # every bracket inside would fail as well
        return value
    raise AbraFailed(f"no JSON in the output of 'abra {' '.join(done.argv[1:4])}'")


def _rows(done: Completed) -> list[dict[str, str]]:
    """Return the rows of the JSON list in abra's output; null is an empty list.

    Raises:
        AbraFailed: the output has no list of objects.
    """
    value = _json(done) or []
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise AbraFailed(
            f"the output of 'abra {' '.join(done.argv[1:4])}' is not a JSON list of objects"
        )
    return [_flat(row) for row in value]


def _flat(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a row with normalised keys (lower case, dashes) and values as text."""
    return {re.sub(r"[ _]", "-", str(key)).lower(): str(value) for key, value in row.items()}


def _secret_state(row: Mapping[str, str]) -> SecretState:
    created = row.get("created-on-server", row.get("created", "false"))
    return SecretState(row.get("name", ""), row.get("version", ""), created.lower() == "true")


def _message(done: Completed) -> str:
    """Return abra's FATA line, followed by the last lines of its output."""
    lines = [line.rstrip() for line in done.text.splitlines() if line.strip()]
    fatal = FATAL.search(done.text)
    head = fatal["text"].strip() if fatal else (lines[-1] if lines else "no output")
    return "\n    ".join([head, *lines[-12:]]) if len(lines) > 1 else head
