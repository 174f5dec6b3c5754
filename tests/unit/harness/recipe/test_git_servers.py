"""A broken forge is an infrastructure problem, never the recipe's fault or a usage error (incident L12)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.errors import InfraError, UsageError
from harness.host.proc import Completed
from harness.recipe import git

SHA = "0123456789" * 4


class Forge(BaseHTTPRequestHandler):
    """Answers every request with the HTTP status in its path."""

    def do_GET(self) -> None:
        """Answer a request for refs, the first request of every command."""
        self.send_response(int(self.path.split("/")[1]))
        self.end_headers()
        self.wfile.write(b"sorry")

    def log_message(self, *args: object) -> None:
        """Do not log."""


@pytest.fixture(scope="module")
def forge() -> Iterator[str]:
    """The address of a broken server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Forge)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 502, 503])
def test_incident_l12_an_error_of_the_forge_proves_nothing(
    forge: str, status: int, tmp_path: Path
) -> None:
    """L12: every path returned 404 for a while; the error names the address."""
    url = f"{forge}/{status}/recipe.git"
    with pytest.raises(InfraError, match=f"reading HEAD of '{url}' failed"):
        git.resolve(url, None)
    with pytest.raises(InfraError, match=f"cloning '{url}' failed"):
        git.fetch_checkout(url, SHA, tmp_path / "recipes" / "x")


def test_a_closed_port_is_an_infrastructure_problem() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/recipe.git"
        with pytest.raises(InfraError, match=r"reading HEAD of .* failed"):
            git.resolve(url, None)


def test_a_name_that_does_not_resolve_is_an_infrastructure_problem() -> None:
    with pytest.raises(InfraError, match="Could not resolve host"):
        git.resolve("https://forge.invalid/recipe.git", None)


def test_a_forge_that_accepts_but_never_answers_times_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert dict(git.SAFE_CONFIG)["http.lowSpeedTime"] == "30"
    quick = tuple((k, "1" if k == "http.lowSpeedTime" else v) for k, v in git.SAFE_CONFIG)
    monkeypatch.setattr(git, "SAFE_CONFIG", quick)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        start = time.monotonic()
        with pytest.raises(InfraError, match="Operation too slow"):
            git.resolve(f"http://127.0.0.1:{mute.getsockname()[1]}/recipe.git", None)
        assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ("fatal: remote error: upload-pack: not our ref", UsageError),
        ("error: Server does not allow request for unadvertised object", UsageError),
        ("error: RPC failed; HTTP 503 curl 22", InfraError),
        ("fatal: unable to access: Could not resolve host", InfraError),
        ("", InfraError),
    ],
)
def test_a_commit_is_missing_only_if_the_server_says_so(
    output: str, kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any other error proves nothing about the commit (L12)."""

    def answered(where: object, *words: object, doing: str, check: bool = True) -> Completed:
        by_sha = any(str(word).startswith(SHA) for word in words) and words[0] == "fetch"
        looks = words[0] == "cat-file"
        return Completed(("git",), 128 if by_sha or looks else 0, "", output if by_sha else "", 0.1)

    monkeypatch.setattr(git, "_git", answered)
    with pytest.raises(kind):
        git.fetch_checkout("https://forge/fork.git", SHA, tmp_path / "recipes" / "x")
