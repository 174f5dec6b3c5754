"""One HTTP client for both servers: every way a call can go wrong has a kind and a sentence."""

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
LONGEST_ANSWER = 20_000_000  # bytes; a log is at most 5 MB, escaped
LONGEST_CALL = 60.0  # seconds for the body of an answer
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between two tries


class CallError(Exception):
    """A call that gave no usable answer.

    kind: see `Kind`. status: of the HTTP answer, 0 without one. retry_after: seconds the server asked
    us to wait.
    """

    def __init__(self, kind: Kind, text: str, *, status: int = 0, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.kind = kind
        self.status = status
        self.retry_after = retry_after

    @property
    def transient(self) -> bool:
        """Whether the same call may succeed later without anybody doing anything."""
        return self.kind in TRANSIENT


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: status, headers and its JSON (None where it has no body)."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Http:
    """Calls one server. Redirects are never followed: the servers' own mean something else."""

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
        timeout: float = 15.0,
    ) -> Answer:
        """Make one call and return its answer.

        timeout: seconds between two pieces of the answer, which takes a minute at most.

        Raises:
            CallError: no answer, or one whose status is not in `ok`, or one that is no JSON.
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
    ) -> Answer:
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
            raise CallError("slow", f"{doing}: no answer within {timeout:.0f} s") from error
        except (requests.RequestException, OSError) as error:
            raise CallError("unreachable", f"{doing}: {_root(error)}") from error
        except urllib3.exceptions.HTTPError as error:  # while the body is read
            raise CallError(
                "unreachable", f"{doing}: the answer broke off: {_root(error)}"
            ) from error
        if response.status_code not in ok:
            raise _refused(doing, response, content)
        return Answer(response.status_code, response.headers, _json(doing, response, content))

    def stream(self, path: str, *, silence: float) -> Iterator[str]:
        """Yield the lines of an endless answer as they come.

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
                    raise _refused(doing, response, b"")
                response.encoding = "utf-8"
                yield from _lines(response)
        except requests.Timeout as error:
            raise CallError("slow", f"{doing}: silent for {silence:.0f} s") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            silent = isinstance(error, urllib3.exceptions.ReadTimeoutError)
            raise CallError(
                "slow" if silent else "unreachable", f"{doing}: {_root(error)}"
            ) from error


def _read(doing: str, response: requests.Response) -> bytes:
    """Read an answer's body: little more than the most bytes, and as long as one may take."""
    end, content = time.monotonic() + LONGEST_CALL, bytearray()
    while piece := response.raw.read1(65_536, decode_content=True):
        content += piece
        if len(content) > LONGEST_ANSWER:
            break
        if time.monotonic() > end:
            raise CallError("slow", f"{doing}: the answer takes more than {LONGEST_CALL:.0f} s")
    return bytes(content)


def _lines(response: requests.Response) -> Iterator[str]:
    """Yield whole lines; only a line feed ends one."""
    rest = b""
    while chunk := response.raw.read1(65_536, decode_content=True):  # as it comes, chunked or not
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace").rstrip("\r")


def _json(doing: str, response: requests.Response, content: bytes) -> Any:
    if len(content) > LONGEST_ANSWER:
        raise CallError("garbled", f"{doing}: answered more than {LONGEST_ANSWER:,} bytes")
    if not content.strip():
        return None
    if "json" not in response.headers.get("Content-Type", ""):
        return content.decode("utf-8", "replace")
    try:
        return json.loads(content)
    except ValueError as error:
        raise CallError("garbled", f"{doing}: the answer is no JSON: {error}") from error


def _refused(doing: str, response: requests.Response, content: bytes) -> CallError:
    status = response.status_code
    kinds: dict[int, Kind] = {401: "denied", 403: "denied", 404: "missing", 429: "limited"}
    kind: Kind = kinds.get(status, "server" if status >= 500 else "refused")
    told = content[:300].decode("utf-8", "replace").strip()
    text = f"{doing}: answered {status}{f' {told}' if told else ''}"
    return CallError(kind, text, status=status, retry_after=_retry_after(response))


def _retry_after(response: requests.Response) -> float:
    """Return the seconds that the server asks us to wait, 0 where it does not."""
    value = response.headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def _root(error: BaseException) -> str:
    """Return what the operating system said, without the wrappings of the libraries."""
    inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    if isinstance(inner, BaseException):
        return _root(inner)
    return str(error).rpartition(": ")[2] or type(error).__name__


class Backoff:
    """How long to wait before the next try: doubling, with jitter, never less than the server asked for."""

    def __init__(self) -> None:
        self.failures = 0

    def success(self) -> None:
        """Start again from the shortest pause."""
        self.failures = 0

    def failed(self, error: CallError | None = None) -> float:
        """Return the seconds to wait after one more failure."""
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.failures, 10))
        self.failures += 1
        jittered = pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        return max(float(jittered), error.retry_after if error else 0.0)
