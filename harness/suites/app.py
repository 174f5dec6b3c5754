"""The app under test, as a suite's author sees it."""

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
STOPPED_TIMEOUT = 0.1  # seconds; the proxy itself needs a tenth of that, and nothing else is there


@dataclass
class App:
    """One deployment of the recipe, named by its domain.

    life: which deployment of the run this is ("fresh", "upgrade", "warm").
    notes: a suite's own memory between its seed and its checks; lives as long as the app.
    stopped: nothing of it runs any more, on purpose; every wait for it is short.
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

        Raises:
            RecipeFailure: the command ended with a status other than 0; holds both streams.
        """
        self._require_running(service)
        done = containers.execute(self.stack, service, argv, user=user, env=env)
        if done.exit_code != 0:
            said = (done.err.strip() or done.out.strip() or "(nothing)")[-1500:]
            raise RecipeFailure(
                f"'{argv[0]}' in service '{service}' ended with status {done.exit_code}: {said}"
            )
        return done.out

    def get(self, path: str, *, status: Statuses = 200, **options: Any) -> requests.Response:
        """GET a path through the real proxy; see `request`."""
        return self.request("GET", path, status=status, **options)

    def host(self, service: str) -> Any:
        """Return a testinfra host inside the service's container (it needs a shell there)."""
        self._require_running(service)
        return testinfra.get_host(f"docker://{containers.find(self.stack, service)}")

    def logs(self, service: str, *, lines: int = containers.LOG_LINES) -> list[str]:
        """Return the service's last log lines."""
        return containers.logs(self.stack, service, lines=lines)

    def post(self, path: str, *, status: Statuses = 200, **options: Any) -> requests.Response:
        """POST to a path through the real proxy; see `request`."""
        return self.request("POST", path, status=status, **options)

    def read(self, service: str, path: str) -> bytes:
        """Return a file of a service's container, byte for byte.

        Raises:
            RecipeFailure: there is no such file.
        """
        self._require_running(service)
        data = containers.read(self.stack, service, path)
        if data is None:
            raise RecipeFailure(f"service '{service}' has no file '{path}'")
        return data

    def request(
        self, method: str, path: str, *, status: Statuses = 200, **options: Any
    ) -> requests.Response:
        """Send a request through the real proxy, with the certificate checked.

        status: the status or statuses the app must answer with. options: as for `requests`
        (redirects are not followed unless `allow_redirects` says so). An answer has 10 s to begin
        and to go on (`timeout` says otherwise), six times that to end, and 64 MiB.

        Raises:
            RecipeFailure: no answer or one without end, another status, or an answer of the proxy
                itself.
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
            start = " ".join(answer.text[:300].split())
            raise RecipeFailure(
                f"{where} answered {answer.status_code}, expected "
                f"{' or '.join(map(str, wanted))}; the body starts: {start or '(empty)'}"
            )
        return answer

    def secret(self, name: str) -> Secret:
        """Return a secret of the app by its name in the recipe ("db_password").

        Raises:
            SuiteFailure: no secret of that name was generated or inserted.
        """
        if name not in self.secrets:
            known = ", ".join(sorted(self.secrets)) or "none"
            raise SuiteFailure(f"the app has no secret '{name}'; it has: {known}")
        return self.secrets[name]

    def session(self) -> requests.Session:
        """Return the app's session: cookies are kept, and every request goes through the proxy."""
        if self._session is None:
            self._session = route.session(self.settings, self.domain)
        return self._session

    def wait_until(self, look: Callable[[], bool], *, what: str, timeout: float = 60.0) -> None:
        """Wait until `look` is true; errors of the app while waiting count as "not yet".

        what: what is waited for, for messages. timeout: seconds.
        """

        def once() -> wait.Look[bool]:
            try:
                return wait.Look("there" if (there := look()) else "not yet", there or None)
            except (RecipeFailure, AssertionError) as error:
                return wait.Look(str(error).splitlines()[0][:200] if str(error) else "not yet")

        seconds = 0.0 if self.stopped else timeout
        wait.until(once, what=what, timeout=seconds, every=0.25, progress=self.progress)

    def write(self, service: str, path: str, data: str | bytes) -> None:
        """Put a file into a service's container; its folder must exist."""
        self._require_running(service)
        raw = data.encode() if isinstance(data, str) else data
        containers.write(self.stack, service, path, raw)

    def _require_running(self, service: str) -> None:
        """Refuse at once what would wait for a container of a stopped app.

        Raises:
            RecipeFailure: the app is stopped.
        """
        if self.stopped:
            raise RecipeFailure(f"service '{service}' has no container: the app is stopped")


def _reason(error: requests.RequestException) -> str:
    """Return the innermost reason of a requests error, without its object addresses."""
    text = str(error.args[0]) if error.args else str(error)
    return text.rpartition("Caused by ")[2].split("object at 0x")[0][:300] or type(error).__name__
