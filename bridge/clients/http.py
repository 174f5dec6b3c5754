"""HTTP client for both servers: each way in which a request can fail has a kind and a message."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import requests
import urllib3

from bridge import metrics

Kind = Literal[
    "unreachable", "slow", "server", "limited", "denied", "missing", "refused", "garbled"
]
TRANSIENT: frozenset[Kind] = frozenset({"unreachable", "slow", "server", "limited", "garbled"})
CONNECT_TIMEOUT = 5.0  # seconds
READ_TIMEOUT = 15.0  # seconds without a byte
BODY_TIMEOUT = 60.0  # seconds for the body of a response
MAX_BODY = 20_000_000  # bytes; a log has at most 5 MB, escaped
MAX_ERROR_TEXT = 300  # bytes of an error response that are reported
CHUNK = 65_536  # bytes
MIN_PAUSE, MAX_PAUSE = 1.0, 60.0  # seconds between two tries


class CallError(Exception):
    """A request without a usable response.

    Attributes:
        kind: see `Kind`.
        status: HTTP status of the response, 0 if there was none.
        retry_after: seconds that the server asked to wait.
    """

    def __init__(self, kind: Kind, text: str, *, status: int = 0, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.kind = kind
        self.status = status
        self.retry_after = retry_after

    @property
    def transient(self) -> bool:
        """True if the same request may succeed later although nobody fixes anything."""
        return self.kind in TRANSIENT


@dataclass(frozen=True, slots=True)
class Response:
    """HTTP status, headers, and the body: parsed JSON, other text, or None if it is empty."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Http:
    """Sends requests to one server. Redirects are not followed: they would take the token elsewhere."""

    def __init__(self, name: str, base: str, headers: Mapping[str, str]) -> None:
        self.name = name
        self.base = base.rstrip("/")
        self._headers = dict(headers)

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        ok: frozenset[int] = frozenset({200, 201, 204}),
        timeout: float = READ_TIMEOUT,
    ) -> Response:
        """Send one request and return the response.

        Args:
            method: HTTP method.
            path: relative to the base URL.
            params: of the query.
            body: sent as JSON.
            ok: HTTP statuses that count as success.
            timeout: seconds without a byte; the whole body may take `BODY_TIMEOUT`.

        Raises:
            CallError: no response, an HTTP status that is not in `ok`, or invalid JSON.
        """
        doing = f"{method} {path} at {self.name}"
        try:
            return self._call(doing, method, path, params, body, ok, timeout)
        except CallError as error:
            metrics.ERRORS.labels(self.name, error.kind).inc()
            raise

    def _call(
        self,
        doing: str,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: object,
        ok: frozenset[int],
        timeout: float,
    ) -> Response:
        try:
            with requests.request(
                method,
                self.base + path,
                params=params,
                json=body,
                headers=self._headers,
                timeout=(CONNECT_TIMEOUT, timeout),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = _read(doing, response)
        except requests.Timeout as error:
            raise CallError("slow", f"{doing}: no response within {timeout:.0f} s") from error
        except (requests.RequestException, OSError) as error:
            raise CallError("unreachable", f"{doing}: {_cause(error)}") from error
        except urllib3.exceptions.HTTPError as error:  # while the body is read
            text = f"{doing}: the response broke off: {_cause(error)}"
            raise CallError("unreachable", text) from error
        if response.status_code not in ok:
            raise _error(doing, response, content)
        return Response(response.status_code, response.headers, _parse(doing, response, content))

    def stream(self, path: str, *, silence: float) -> Iterator[str]:
        """Yield the lines of an endless response as they arrive.

        Args:
            path: relative to the base URL.
            silence: seconds without a byte after which the stream is given up.

        Raises:
            CallError: it could not be opened, broke off, or was silent for too long.
        """
        doing = f"GET {path} at {self.name}"
        try:
            with requests.get(
                self.base + path,
                headers=self._headers,
                timeout=(CONNECT_TIMEOUT, silence),
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.status_code != 200:
                    raise _error(doing, response, b"")
                response.encoding = "utf-8"
                yield from _lines(response)
        except requests.Timeout as error:
            raise CallError("slow", f"{doing}: no data for {silence:.0f} s") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            timed_out = isinstance(error, urllib3.exceptions.ReadTimeoutError)
            kind: Kind = "slow" if timed_out else "unreachable"
            raise CallError(kind, f"{doing}: {_cause(error)}") from error


def _read(doing: str, response: requests.Response) -> bytes:
    """Read the body of a response, at most little more than `MAX_BODY`, within `BODY_TIMEOUT`."""
    end, content = time.monotonic() + BODY_TIMEOUT, bytearray()
    while piece := response.raw.read1(CHUNK, decode_content=True):
        content += piece
        if len(content) > MAX_BODY:
            break
        if time.monotonic() > end:
            raise CallError("slow", f"{doing}: the response takes more than {BODY_TIMEOUT:.0f} s")
    return bytes(content)


def _lines(response: requests.Response) -> Iterator[str]:
    """Yield whole lines; only a line feed ends one."""
    rest = b""
    while chunk := response.raw.read1(CHUNK, decode_content=True):  # as it arrives, chunked or not
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace").rstrip("\r")


def _parse(doing: str, response: requests.Response, content: bytes) -> Any:
    if len(content) > MAX_BODY:
        raise CallError("garbled", f"{doing}: the response has more than {MAX_BODY:,} bytes")
    if not content.strip():
        return None
    if "json" not in response.headers.get("Content-Type", ""):
        return content.decode("utf-8", "replace")
    try:
        return json.loads(content)
    except ValueError as error:
        raise CallError("garbled", f"{doing}: the response is not valid JSON: {error}") from error


def _error(doing: str, response: requests.Response, content: bytes) -> CallError:
    status = response.status_code
    kinds: dict[int, Kind] = {401: "denied", 403: "denied", 404: "missing", 429: "limited"}
    kind: Kind = kinds.get(status, "server" if status >= 500 else "refused")
    body = content[:MAX_ERROR_TEXT].decode("utf-8", "replace").strip()
    text = f"{doing}: HTTP {status}{f' {body}' if body else ''}"
    return CallError(kind, text, status=status, retry_after=_retry_after(response))


def _retry_after(response: requests.Response) -> float:
    """Return the seconds that the server asks to wait, 0 if it does not."""
    value = response.headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def _cause(error: BaseException) -> str:
    """Return the message of the operating system, without what the libraries wrap around it."""
    inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    if isinstance(inner, BaseException):
        return _cause(inner)
    return str(error).rpartition(": ")[2] or type(error).__name__


class Backoff:
    """Exponential back-off with jitter; never shorter than what the server asked for."""

    def __init__(self) -> None:
        self.failures = 0

    def success(self) -> None:
        """Start again with the shortest pause."""
        self.failures = 0

    def failed(self, error: CallError | None = None) -> float:
        """Return the seconds to wait after one more failure."""
        pause = min(MAX_PAUSE, MIN_PAUSE * 2 ** min(self.failures, 10))
        self.failures += 1
        jittered = pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        return max(float(jittered), error.retry_after if error else 0.0)
