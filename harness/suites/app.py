"""The app under test: the API for suite authors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests
import testinfra  # type: ignore[import-untyped]

from harness.errors import RecipeFailure, SuiteFailure
from harness.host import wait
from harness.secret import Secret
from harness.settings import Settings
from harness.swarm import containers, route

Statuses = int | tuple[int, ...]
STOPPED_TIMEOUT = 0.1  # seconds; only the proxy can answer then, and it takes a tenth of that
POLL_INTERVAL = 0.25  # seconds
MAX_OUTPUT = 1500  # characters of a command's output in an error, counted from the end
MAX_BODY_START = 300  # characters of a response's body in an error


@dataclass
class App:
    """One deployment of the recipe, named by its domain.

    A `service` argument is always the service's short name in the compose file, e.g. "app" or "db".

    Attributes:
        domain: the app's domain; the proxy serves it at `https://<domain>/`.
        stack: the name of its Swarm stack.
        recipe: the recipe's name.
        life: which deployment of the run this is: "fresh", "upgrade" or "warm".
        notes: a dictionary for the suite, for example to keep an id from a seed until its checks.
        secrets: the secrets that were generated for the app, by name; suites use `secret`.
        stopped: the app was stopped for the negative controls, so nothing waits for it.
    """

    domain: str
    stack: str
    recipe: str
    life: str
    settings: Settings
    progress: Callable[[str], None] = lambda line: None
    notes: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)
    stopped: bool = False
    _session: requests.Session | None = None

    def exec(
        self,
        service: str,
        *argv: str,
        user: str = "",
        env: dict[str, str] | None = None,
    ) -> str:
        """Run a command in a service's container and return its standard output.

        Args:
            service: the service's short name.
            argv: the command and its arguments; no shell is involved.
            user: the user to run it as; "" means the image's own.
            env: additional environment variables.

        Raises:
            RecipeFailure: the exit code is not 0; the message contains the end of the output.
        """
        self._require_running(service)
        done = containers.execute(self.stack, service, argv, user=user, env=env)
        if done.exit_code != 0:
            output = (done.err.strip() or done.out.strip() or "(no output)")[-MAX_OUTPUT:]
            raise RecipeFailure(
                f"'{argv[0]}' in service '{service}' exited with code {done.exit_code}: {output}"
            )
        return done.out

    def get(self, path: str, *, status: Statuses = 200, **options: Any) -> requests.Response:
        """Send a GET request through the real proxy; see `request`."""
        return self.request("GET", path, status=status, **options)

    def host(self, service: str) -> Any:
        """Return a testinfra host for the service's container.

        Use it for what no request shows: files with owner and mode, processes, packages, listening
        ports. The image must have a shell.

        Args:
            service: the service's short name.

        Returns:
            A `testinfra.host.Host`.

        Raises:
            RecipeFailure: the service has no running container.
        """
        self._require_running(service)
        return testinfra.get_host(f"docker://{containers.find(self.stack, service)}")

    def logs(self, service: str, *, lines: int = containers.LOG_LINES) -> list[str]:
        """Return a service's last log lines, oldest first.

        Args:
            service: the service's short name.
            lines: how many lines at most.
        """
        return containers.logs(self.stack, service, lines=lines)

    def post(self, path: str, *, status: Statuses = 200, **options: Any) -> requests.Response:
        """Send a POST request through the real proxy; see `request`."""
        return self.request("POST", path, status=status, **options)

    def read(self, service: str, path: str) -> bytes:
        """Return the content of a file in a service's container.

        Args:
            service: the service's short name.
            path: the file's absolute path.

        Raises:
            RecipeFailure: the file does not exist.
        """
        self._require_running(service)
        data = containers.read(self.stack, service, path)
        if data is None:
            raise RecipeFailure(f"service '{service}' has no file '{path}'")
        return data

    def request(
        self, method: str, path: str, *, status: Statuses = 200, **options: Any
    ) -> requests.Response:
        """Send a request through the real proxy and check the certificate and the HTTP status.

        Args:
            method: the HTTP method.
            path: the path, beginning with "/".
            status: the HTTP status that the app must answer with, or several allowed ones.
            options: as for `requests.request`. Redirects are followed only with
                `allow_redirects=True`. `timeout` is 10 s unless given; it bounds the wait for each
                piece of the response. The whole response may take six times as long and have 64 MiB.

        Raises:
            RecipeFailure: no response, one that is too large or too slow, another HTTP status, or a
                response of the proxy itself.
        """
        options.setdefault("timeout", route.REQUEST_TIMEOUT)
        if self.stopped:
            options["timeout"] = STOPPED_TIMEOUT
        options.setdefault("allow_redirects", False)
        where = f"{method} https://{self.domain}{path}"
        try:
            answer = self.session().request(method, f"https://{self.domain}{path}", **options)
        except requests.RequestException as error:
            raise RecipeFailure(f"{where} got no answer: {_reason(error)}") from None
        if route.is_proxy_answer(self.settings, self.domain, answer):
            raise route.ProxyAnswered(
                f"{where} was answered by the proxy itself ({answer.status_code}), not by the app"
            )
        wanted = (status,) if isinstance(status, int) else status
        if answer.status_code not in wanted:
            start = " ".join(answer.text[:MAX_BODY_START].split())
            raise RecipeFailure(
                f"{where} answered {answer.status_code}, expected "
                f"{' or '.join(map(str, wanted))}; the body starts: {start or '(empty)'}"
            )
        return answer

    def secret(self, name: str) -> Secret:
        """Return a secret that was generated for this app.

        Args:
            name: its name in the recipe, e.g. "db_password".

        Returns:
            The secret; `reveal()` returns its text, which is masked wherever it is printed.

        Raises:
            SuiteFailure: the app has no secret with that name.
        """
        if name not in self.secrets:
            known = ", ".join(sorted(self.secrets)) or "none"
            raise SuiteFailure(f"the app has no secret '{name}'; it has: {known}")
        return self.secrets[name]

    def session(self) -> requests.Session:
        """Return the `requests` session behind `get`, `post` and `request`, with its cookies.

        Its requests go through the real proxy, too, but their HTTP status is not checked.
        """
        if self._session is None:
            self._session = route.session(self.settings, self.domain)
        return self._session

    def wait_until(self, look: Callable[[], bool], *, what: str, timeout: float = 60.0) -> None:
        """Wait until `look()` returns True.

        Args:
            look: called every 0.25 s; a `RecipeFailure` or `AssertionError` counts as "not yet".
            what: what is waited for, for messages.
            timeout: in seconds.

        Raises:
            TimedOut: it did not return True in time; the message contains the last error.
        """

        def once() -> wait.Look[bool]:
            try:
                return wait.Look("there" if (there := look()) else "not yet", there or None)
            except (RecipeFailure, AssertionError) as error:
                return wait.Look(str(error).splitlines()[0][:200] if str(error) else "not yet")

        seconds = 0.0 if self.stopped else timeout
        wait.until(once, what=what, timeout=seconds, every=POLL_INTERVAL, progress=self.progress)

    def write(self, service: str, path: str, data: str | bytes) -> None:
        """Write a file into a service's container.

        Args:
            service: the service's short name.
            path: the file's absolute path; its folder must exist.
            data: the content; text is encoded as UTF-8.

        Raises:
            RecipeFailure: the file cannot be written.
        """
        self._require_running(service)
        raw = data.encode() if isinstance(data, str) else data
        containers.write(self.stack, service, path, raw)

    def _require_running(self, service: str) -> None:
        """Fail immediately instead of waiting for a container of a stopped app.

        Raises:
            RecipeFailure: the app is stopped.
        """
        if self.stopped:
            raise RecipeFailure(f"service '{service}' has no container: the app is stopped")


def _reason(error: requests.RequestException) -> str:
    """Return the innermost reason of a requests error, without its object addresses."""
    text = str(error.args[0]) if error.args else str(error)
    return text.rpartition("Caused by ")[2].split("object at 0x")[0][:300] or type(error).__name__
