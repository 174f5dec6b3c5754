"""Requests to an app through the real proxy; distinguish the proxy's own answers from the app's.

Measured with Traefik 3.6: an unknown host gets `404 page not found` as text/plain with nosniff and
no Server header; a dead back end gets `502 Bad Gateway` of 11 bytes. A program written in Go may
answer the same 404, so if the proxy's API is available, its list of routers decides.
"""

from __future__ import annotations

import contextlib
import re
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from harness.errors import InfraError, RecipeFailure, TimedOut
from harness.host import wait
from harness.settings import Settings

REQUEST_TIMEOUT = 10.0  # seconds for one request; a dead back end is reported after 3 s
OWN_BODIES = {404: b"404 page not found\n", 502: b"Bad Gateway", 503: b"no available server\n"}
OWN_BODIES[504] = b"Gateway Timeout"
MAX_BODY = 64 * 1024 * 1024  # bytes
WHOLE_ANSWER_FACTOR = 6.0  # a whole answer may take this many times the timeout of one read
FORGET_TIMEOUT = 3.0  # seconds; too short for a proxy that asks Swarm every 15 s
MAX_REDIRECTS = 10
CHUNK = 64 * 1024  # bytes


class EndlessAnswer(requests.RequestException):
    """An answer that is too large or takes too long."""


class ProxyAnswered(RecipeFailure):
    """The proxy answered instead of the app."""


class _ToProxy(HTTPAdapter):
    """Connects to the proxy for every URL, and checks the app's certificate."""

    def __init__(self, address: tuple[str, int], domain: str) -> None:
        self._address, self._domain = address, domain
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Set the name that the certificate must have."""
        kwargs["assert_hostname"] = self._domain
        kwargs["server_hostname"] = self._domain
        super().init_poolmanager(*args, **kwargs)

    def add_headers(self, request: Any, **kwargs: Any) -> None:
        """Set the Host header, since the connection goes to the proxy's address."""
        request.headers["Host"] = self._domain

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> Any:
        """Replace host and port by the proxy's; keep scheme and TLS settings."""
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        host["host"], host["port"] = self._address
        return host, pool

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request and read the whole answer within limits, unless the caller streams it."""
        start = time.monotonic()
        answer = super().send(request, *args, **kwargs)
        if not (args[0] if args else kwargs.get("stream")):
            limit = _seconds(kwargs.get("timeout")) * WHOLE_ANSWER_FACTOR
            read_whole(answer, start=start, seconds=limit)
        return answer


def _seconds(timeout: object) -> float:
    """Return the timeout of one read: `requests` takes a number or a pair."""
    read = timeout[1] if isinstance(timeout, tuple) else timeout
    return float(read) if isinstance(read, int | float) else REQUEST_TIMEOUT


def read_whole(
    answer: requests.Response, *, start: float, seconds: float, max_bytes: int = MAX_BODY
) -> None:
    """Read an answer's body within limits of size and time.

    The timeout of `requests` applies to each piece that arrives, and it does not limit the size.

    Args:
        answer: an answer whose body has not been read.
        start: when the request was sent (monotonic time).
        seconds: limit for the whole answer, counted from `start`.
        max_bytes: limit for the body, after decompression.

    Raises:
        EndlessAnswer: a limit was exceeded.
        requests.ConnectionError: the connection was closed too early.
    """
    body = bytearray()
    try:
        while piece := answer.raw.read1(CHUNK, decode_content=True):
            body += piece
            taken = time.monotonic() - start
            if len(body) > max_bytes or taken > seconds:
                answer.raw.close()
                raise EndlessAnswer(
                    f"the answer is too long: {len(body)} bytes arrived in {taken:.1f} s "
                    f"(limits: {max_bytes} bytes, {seconds:.0f} s)",
                    response=answer,
                )
    except HTTPError as error:
        raise requests.ConnectionError(error, response=answer) from error
    answer.raw.release_conn()
    answer._content = bytes(body)  # noqa: SLF001 - requests has no public way to set a body
    answer._content_consumed = True  # type: ignore[attr-defined]  # noqa: SLF001


def session(settings: Settings, domain: str) -> requests.Session:
    """Return a session that sends requests for `https://<domain>/…` to the proxy and verifies TLS."""
    made = requests.Session()
    made.trust_env = False
    made.max_redirects = MAX_REDIRECTS
    made.mount(f"https://{domain}/", _ToProxy(settings.proxy_address, domain))
    made.verify = str(settings.ca_file) if settings.ca_file else True
    return made


def is_proxy_answer(settings: Settings, domain: str, answer: requests.Response) -> bool:
    """Return True if the proxy made this answer, not the app."""
    own = OWN_BODIES.get(answer.status_code)
    if own is None or answer.content.strip() != own.strip() or "Server" in answer.headers:
        return False
    if answer.status_code != 404 or not settings.proxy_api:
        return True
    return not routers(settings, domain)


def routers(settings: Settings, domain: str) -> list[str]:
    """Return the names of the proxy's routers that have this host in their rule.

    Raises:
        InfraError: the proxy's API does not answer.
    """
    if not settings.proxy_api:
        return []
    host = re.compile(rf"`{re.escape(domain)}`")
    found = all_routers(settings)
    return [str(r["name"]) for r in found if host.search(str(r.get("rule", "")))]


def wait_until_forgotten(settings: Settings, domain: str) -> None:
    """Wait at most 3 s until the proxy has no router for this host any more.

    Until then it tries to connect to containers that do not run any more, and requests hang.
    """
    if not settings.proxy_api:
        return

    def look() -> wait.Look[bool]:
        left = routers(settings, domain)
        return wait.Look(", ".join(left) or "forgotten", None if left else True)

    with contextlib.suppress(TimedOut):
        wait.until(look, what="the proxy to forget the app", timeout=FORGET_TIMEOUT, every=0.05)


def all_routers(settings: Settings) -> list[dict[str, Any]]:
    """Return the proxy's routers as its API lists them.

    Raises:
        InfraError: the proxy's API does not answer.
    """
    listed: list[dict[str, Any]] = _ask(settings, "/api/http/routers?per_page=1000", "routers")
    return listed


def version(settings: Settings) -> str:
    """Return the proxy's version.

    Raises:
        InfraError: the proxy's API does not answer.
    """
    return str(_ask(settings, "/api/version", "version").get("Version", "unknown"))


def _ask(settings: Settings, path: str, what: str) -> Any:
    try:
        answer = requests.get(settings.proxy_api + path, timeout=REQUEST_TIMEOUT)
        answer.raise_for_status()
        return answer.json()
    except (requests.RequestException, ValueError) as error:
        raise InfraError(f"asking the proxy for its {what} failed: {error}") from error
