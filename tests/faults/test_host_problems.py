"""Problems of the host (disks, inodes, memory, image registry, forge) are not the recipe's fault."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from contract import run_files
from harness.reporting import events
from harness.reporting.events import EventLog
from harness.swarm import engine
from tests.support.figures import Part, trial
from tests.support.run_process import RunProcess
from tests.support.tiny_recipe import TinyRecipe

pytestmark = [pytest.mark.swarm, pytest.mark.faults]
PART = Part.HOST
INFRA = (16, "infra")
INSTALL = ("--stages", "install")
UPGRADE = ("--stages", "install,functional,redeploy,upgrade")
EXT4_SHUTDOWN, NO_FLUSH = 0x8004587D, 2  # ioctl of Linux: from then on every access fails with EIO
SUITE = """
import os, pathlib
import pytest
from harness import App, check, seed

@seed
def break_the_disk(app: App) -> None:
    folder = pathlib.Path(os.environ["FOLDER"])
    if app.life == "fresh":
        {how}

@check
def it_answers(app: App) -> None:
    assert app.get("/").text == "fine"

@pytest.mark.functional
def test_something_is_written(app: App) -> None:
    assert os.system("echo x > $FOLDER/some-file") == 0
"""
FILL_DISK = """
        with (folder / "ballast").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(65536)):
                    pass
            except OSError:
                pass
"""
USE_ALL_INODES = """
        (folder / "ballast").mkdir()
        try:
            for number in range(1_000_000):
                (folder / "ballast" / str(number)).touch()
        except OSError:
            pass
"""
BREAK_DISK = f"""
        import ctypes, fcntl
        fd = os.open(folder, os.O_RDONLY)
        fcntl.ioctl(fd, {EXT4_SHUTDOWN}, ctypes.c_uint32({NO_FLUSH}))
        os.close(fd)
"""


@pytest.fixture
def tiny(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[TinyRecipe]:
    """A tiny recipe with a published version and a head; it is removed after the test."""
    recipe = TinyRecipe(tmp_path, f"tiny-{abs(hash(request.node.name)) % 100_000}")
    recipe.commit(tag=True)
    recipe.commit(version="1.1.0+1", nginx="# new")
    yield recipe
    recipe.clean()


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Mount a small file system for the length of a block."""
    folder.mkdir()
    subprocess.run(["mount", *options, str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def tmpfs(folder: Path, size: str, inodes: int = 0) -> Iterator[Path]:
    """Mount a small file system in memory."""
    limits = f"size={size}" + (f",nr_inodes={inodes}" if inodes else "")
    with mounted(folder, "-t", "tmpfs", "-o", limits, "tmpfs") as found:
        yield found


@contextmanager
def ext4(folder: Path) -> Iterator[Path]:
    """Mount a small ext4, kept in a file."""
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(160 * 1024**2)
    subprocess.run(["mkfs.ext4", "-q", "-N", "8000", str(image)], check=True)
    with mounted(folder, "-o", "loop", str(image)) as found:
        yield found


def verdict_of(run: RunProcess) -> tuple[int, str]:
    """Return exit code and verdict."""
    return run.exit_code, run.report.verdict.value


def write_suite(tiny: TinyRecipe, how: str) -> None:
    """Write a suite that breaks the disk in the middle of the fresh life, once its app is deployed."""
    tiny.write_suite(SUITE.format(how=how.strip()))


def check_not_the_recipes_fault(run: RunProcess) -> None:
    """Require that the commit status is an error, not a failure, and the level does not count."""
    found = run.report
    assert found.commit_state == "error"
    assert found.level is None or "does not count" in found.level_note


@pytest.mark.parametrize(
    ("what", "how", "inodes", "message"),
    [
        ("the runs' disk fills up during a run", FILL_DISK, 0, "MiB are free in"),
        (
            "the runs' disk runs out of inodes during a run",
            USE_ALL_INODES,
            4_000,
            "inodes are free in",
        ),
    ],
    ids=["disk-space", "inodes"],
)
def test_incident_j2_a_disk_that_fills_up_during_a_run_is_an_infrastructure_error(
    tiny: TinyRecipe, tmp_path: Path, what: str, how: str, inodes: int, message: str
) -> None:
    """J2: the run is torn down, and the report names the disk."""
    write_suite(tiny, how)
    with (
        tmpfs(tmp_path / "runs", "90m", inodes) as runs,
        trial(PART, what, incidents=("J2",)) as result,
    ):
        env = {**os.environ, "CCCI_RUNS_DIR": str(runs), "FOLDER": str(runs)}
        run = tiny.run(*UPGRADE, env=env)
        result.seconds += [run.report.seconds]
        result.none_lost(tiny.leftovers())
        assert verdict_of(run) == INFRA, run.out
        assert message in run.failure_text and f"'{runs}'" in run.failure_text
        (case,) = [c for c in run.report.cases if c.id.startswith("test_something_is_written")]
        assert case.fault == "infra" and "(test failed with: " in case.message
        assert json.loads((run.dir / "report.json").read_text())["verdict"] == "infra"
        check_not_the_recipes_fault(run)


def test_events_are_recorded_on_a_full_disk(tmp_path: Path) -> None:
    """Space for them was reserved before the disk was full."""
    with (
        tmpfs(tmp_path / "run", "4m") as folder,
        trial(PART, "1,000 events on a full disk", times=1000) as result,
    ):
        log = EventLog(folder / "events.jsonl")
        with contextlib.suppress(OSError), (folder / "ballast").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        assert os.statvfs(folder).f_bavail == 0
        for number in range(1000):
            log.write("note", text=str(number))
        found = {event.text("text") for event in events.read(folder / "events.jsonl").events}
        result.none_lost(sorted({str(number) for number in range(1000)} - found))
        assert log.write_error == ""
        log.close()


def test_a_disk_that_breaks_during_a_run_is_an_infrastructure_error(
    tiny: TinyRecipe, tmp_path: Path
) -> None:
    """Every access fails with EIO; the whole report is in the build's log."""
    write_suite(tiny, BREAK_DISK)
    with (
        ext4(tmp_path / "runs") as runs,
        trial(PART, "the runs' disk breaks during a run") as result,
    ):
        env = {**os.environ, "CCCI_RUNS_DIR": str(runs), "FOLDER": str(runs), "DRONE": "true"}
        with result.timed():
            run = tiny.run(*UPGRADE, env=env)
        result.none_lost(tiny.leftovers())
        assert run.exit_code == 16, run.out
        marked = [line for line in run.out.splitlines() if '"event": "run-report"' in line]
        printed = json.loads(marked[-1].removeprefix("::cc-ci:: "))
        assert (printed["verdict"], printed["commit_state"]) == ("infra", "error")
        assert "cannot record an event" in printed["reason"]


def test_the_next_run_writes_reports_that_are_missing(tiny: TinyRecipe, tmp_path: Path) -> None:
    """The events of a run with a full disk are complete, so its reports can be written later."""
    with (
        tmpfs(tmp_path / "runs", "90m") as runs,
        trial(PART, "reports written by the next run") as result,
    ):
        env = {**os.environ, "CCCI_RUNS_DIR": str(runs)}
        first = tiny.run(*INSTALL, env=env)
        assert verdict_of(first) == (0, "passed")
        for name in run_files.REPORTS:
            (first.dir / name).unlink()
        first.dir.rename(runs / "earlier")
        second = tiny.run(*INSTALL, env=env)
        assert verdict_of(second) == (0, "passed")
        assert "wrote the reports of run earlier" in second.out
        assert json.loads((runs / "earlier" / "report.json").read_text())["verdict"] == "passed"
        result.none_lost(tiny.leftovers())


@pytest.mark.parametrize(
    "name", ["CCCI_RUNS_DIR", "CCCI_ACTIVE_DIR", "CCCI_SLOTS_DIR", "CCCI_LOCK_DIR"]
)
def test_a_read_only_folder_is_refused_before_deploying(
    tiny: TinyRecipe, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "read-only"
    with (
        mounted(folder, "-t", "tmpfs", "-o", "ro", "tmpfs"),
        trial(PART, "a read-only folder") as result,
    ):
        with result.timed():
            run = tiny.run(*INSTALL, env={**os.environ, name: str(folder)})
        assert run.exit_code == 16
        assert f"the file system of '{folder}' is mounted read-only" in run.out
        result.none_lost(tiny.leftovers())


def test_a_full_registry_of_apps_is_an_infrastructure_error(
    tiny: TinyRecipe, tmp_path: Path
) -> None:
    """The second life cannot be registered, so it is not deployed; the first one is removed."""
    write_suite(tiny, FILL_DISK)
    with (
        tmpfs(tmp_path / "active", "2m") as active,
        trial(PART, "the registry's disk fills up") as result,
    ):
        env = {**os.environ, "CCCI_ACTIVE_DIR": str(active), "FOLDER": str(active)}
        run = tiny.run(*UPGRADE, env=env)
        result.seconds += [run.report.seconds]
        result.none_lost(tiny.leftovers())
        assert verdict_of(run) == INFRA, run.out
        assert f"'{active}" in run.failure_text
        check_not_the_recipes_fault(run)


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
    tiny: TinyRecipe,
    serve: Serve,
    what: str,
    answer: tuple[int, str],
    expected: tuple[int, str],
) -> None:
    check_pull(tiny, serve(answer), what, expected)


@pytest.mark.parametrize(("what", "listens"), [("refuses", False), ("does not answer", True)])
def test_incident_r7_an_image_registry_that_does_not_answer_is_an_infrastructure_error(
    tiny: TinyRecipe, what: str, listens: bool
) -> None:
    """R7: a closed port, and one that accepts connections and sends nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen()
        check_pull(tiny, f"127.0.0.1:{silent.getsockname()[1]}", f"image registry {what}", INFRA)


def test_incident_r7_an_image_registry_without_dns_name_is_an_infrastructure_error(
    tiny: TinyRecipe,
) -> None:
    check_pull(tiny, "registry.invalid", "image registry's name does not resolve", INFRA)


def check_pull(tiny: TinyRecipe, address: str, what: str, expected: tuple[int, str]) -> None:
    """Run a recipe whose image comes from a registry, and check exit code and verdict."""
    tiny.commit(image=f"{address}/team/app:1", version="1.2.0+1")
    with trial(PART, what, incidents=("R7",), bound=90) as result:
        with result.timed():
            run = tiny.run(*INSTALL)
        result.in_time()
        result.none_lost(tiny.leftovers())
        assert verdict_of(run) == expected, run.out
        assert f"pulling image '{address}/team/app:1' failed before" in run.failure_text
        if expected == INFRA:
            check_not_the_recipes_fault(run)


@pytest.mark.parametrize(
    ("what", "url"),
    [
        ("forge refuses", "http://127.0.0.1:1/{recipe}.git"),
        ("forge's name does not resolve", "https://forge.invalid/{recipe}.git"),
    ],
)
def test_incident_l12_an_unreachable_forge_is_an_infrastructure_error(
    tiny: TinyRecipe, what: str, url: str
) -> None:
    """L12: the report has the commit that was requested; nothing is deployed."""
    with trial(PART, what, incidents=("L12",), bound=60) as result:
        with result.timed():
            run = tiny.run(*INSTALL, env={**os.environ, "CCCI_RECIPES_URL": url})
        result.in_time()
        assert verdict_of(run) == INFRA, run.out
        assert run.report.ref == tiny.head()
        assert "cloning 'http" in run.failure_text
        result.none_lost(tiny.leftovers())
        check_not_the_recipes_fault(run)


CGROUPS = Path("/sys/fs/cgroup/memory/docker")
HUNGRY = (
    "until [ $(cat /sys/fs/cgroup/memory/memory.limit_in_bytes) -lt 100000000 ]; do sleep 0.1; done; "
    "perl -e '$x = \"x\" x 400_000_000; sleep 100'"
)


@pytest.mark.skipif(not CGROUPS.is_dir(), reason="needs memory cgroups of the first version")
def test_a_host_out_of_memory_is_an_infrastructure_error(tiny: TinyRecipe) -> None:
    """The kernel kills a task that has no memory limit of its own."""
    tiny.commit(HUNGRY, version="1.2.0+1")
    finished = threading.Event()

    def limit_memory() -> None:
        while not finished.wait(0.1):
            for stack in tiny.stacks():
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
            run = tiny.run(*INSTALL)
            result.seconds += [run.report.phases["deploy"]]
            result.in_time()
            result.none_lost(tiny.leftovers())
            assert verdict_of(run) == INFRA, run.out
            assert "out of memory: the kernel killed service 'app'" in run.failure_text
            check_not_the_recipes_fault(run)
    finally:
        finished.set()
        thread.join()
