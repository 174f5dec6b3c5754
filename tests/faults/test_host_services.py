"""An image registry, a forge or memory that the host lacks is not the recipe's fault."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.swarm import engine
from tests.faults.verdict import INFRA, check_not_the_recipes_fault, verdict_of
from tests.support.figures import Part, trial
from tests.support.tiny_recipe import TinyRecipe

pytestmark = [pytest.mark.swarm, pytest.mark.faults]
PART = Part.HOST
INSTALL = ("--stages", "install")


class ImageRegistry(BaseHTTPRequestHandler):
    """An image registry; `answer` is the status and body of requests for manifests."""

    protocol_version = "HTTP/1.1"
    answer: tuple[int, str] = (200, "{}")

    def do_GET(self) -> None:
        """Answer as the registry API does."""
        status, body = (200, "{}") if self.path == "/v2/" else self.answer
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if body[:1] == "{" else "text/plain")
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body.encode())

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self.do_GET()

    def log_message(self, *args: object) -> None:
        """Print nothing."""


Serve = Callable[[tuple[int, str]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start an image registry on loopback with an answer for manifests; return its address."""
    servers = []

    def start(answer: tuple[int, str]) -> str:
        handler = type("Handler", (ImageRegistry,), {"answer": answer})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def error_body(code: str) -> str:
    """Return the body of an error of a registry."""
    return json.dumps({"errors": [{"code": code, "message": code.lower()}]})


@pytest.mark.parametrize(
    ("what", "answer", "expected"),
    [
        ("image registry limits the rate (429)", (429, error_body("TOOMANYREQUESTS")), INFRA),
        ("image registry is down (503)", (503, "no back-end"), INFRA),
        ("404 of a proxy in front of the image registry", (404, "404 page not found"), INFRA),
        ("image registry has no such image", (404, error_body("MANIFEST_UNKNOWN")), (1, "recipe")),
    ],
)
def test_incident_r7_only_a_missing_image_is_the_recipes_fault(
    upgradable: TinyRecipe,
    serve: Serve,
    what: str,
    answer: tuple[int, str],
    expected: tuple[int, str],
) -> None:
    check_pull(upgradable, serve(answer), what, expected)


@pytest.mark.parametrize(
    ("what", "listens"), [("refuses connections", False), ("does not answer", True)]
)
def test_incident_r7_an_image_registry_that_does_not_answer_is_an_infrastructure_error(
    upgradable: TinyRecipe, what: str, listens: bool
) -> None:
    """R7: a closed port, and one that accepts connections and sends nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen()
        check_pull(
            upgradable, f"127.0.0.1:{silent.getsockname()[1]}", f"image registry {what}", INFRA
        )


def test_incident_r7_an_image_registry_without_dns_name_is_an_infrastructure_error(
    upgradable: TinyRecipe,
) -> None:
    check_pull(upgradable, "registry.invalid", "image registry's name does not resolve", INFRA)


def check_pull(upgradable: TinyRecipe, address: str, what: str, expected: tuple[int, str]) -> None:
    """Run a recipe whose image comes from a registry, and check exit code and verdict."""
    upgradable.commit(image=f"{address}/team/app:1", version="1.2.0+1")
    with trial(PART, what, incidents=("R7",), bound=90) as result:
        with result.timed():
            run = upgradable.run(*INSTALL)
        result.in_time()
        result.none_lost(upgradable.leftovers())
        assert verdict_of(run) == expected, run.out
        assert f"pulling image '{address}/team/app:1' failed before" in run.failure_text
        if expected == INFRA:
            check_not_the_recipes_fault(run)


@pytest.mark.parametrize(
    ("what", "url"),
    [
        ("forge refuses connections", "http://127.0.0.1:1/{recipe}.git"),
        ("forge's name does not resolve", "https://forge.invalid/{recipe}.git"),
    ],
)
def test_incident_l12_an_unreachable_forge_is_an_infrastructure_error(
    upgradable: TinyRecipe, what: str, url: str
) -> None:
    """L12: the report has the commit that was requested; nothing is deployed."""
    with trial(PART, what, incidents=("L12",), bound=60) as result:
        with result.timed():
            run = upgradable.run(*INSTALL, env={**os.environ, "CCCI_RECIPES_URL": url})
        result.in_time()
        assert verdict_of(run) == INFRA, run.out
        assert run.report.ref == upgradable.head()
        assert "cloning 'http" in run.failure_text
        result.none_lost(upgradable.leftovers())
        check_not_the_recipes_fault(run)


CGROUPS = Path("/sys/fs/cgroup/memory/docker")
HUNGRY = (
    "until [ $(cat /sys/fs/cgroup/memory/memory.limit_in_bytes) -lt 100000000 ]; do sleep 0.1; done; "
    "perl -e '$x = \"x\" x 400_000_000; sleep 100'"
)


@pytest.mark.skipif(not CGROUPS.is_dir(), reason="needs memory cgroups of the first version")
def test_a_host_out_of_memory_is_an_infrastructure_error(upgradable: TinyRecipe) -> None:
    """The kernel kills a task that has no memory limit of its own."""
    upgradable.commit(HUNGRY, version="1.2.0+1")
    finished = threading.Event()

    def limit_memory() -> None:
        while not finished.wait(0.1):
            for stack in upgradable.stacks():
                label = {"label": f"com.docker.stack.namespace={stack}"}
                for container in engine.client().containers(filters=label):
                    limit = CGROUPS / container["Id"] / "memory.limit_in_bytes"
                    if limit.exists():
                        limit.write_text("64000000")

    thread = threading.Thread(target=limit_memory, daemon=True)
    thread.start()
    try:
        with trial(
            PART, "the kernel kills a task because the host is out of memory", bound=60
        ) as result:
            run = upgradable.run(*INSTALL)
            result.seconds += [run.report.phases["deploy"]]
            result.in_time()
            result.none_lost(upgradable.leftovers())
            assert verdict_of(run) == INFRA, run.out
            assert "out of memory: the kernel killed service 'app'" in run.failure_text
            check_not_the_recipes_fault(run)
    finally:
        finished.set()
        thread.join()
