"""Trouble of the host: disks, inodes, memory, image registry, forge: never the recipe's fault."""

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
EXT4_SHUTDOWN, NO_FLUSH = 0x8004587D, 2  # ioctl of Linux: from here on the file system answers EIO
FILL = """
import os, pathlib
import pytest
from harness import App, check, seed

@seed
def trouble_comes(app: App) -> None:
    room = pathlib.Path(os.environ["ROOM"])
    if app.life == "fresh":
        {how}

@check
def it_answers(app: App) -> None:
    assert app.get("/").text == "fine"

@pytest.mark.functional
def test_something_is_written(app: App) -> None:
    assert os.system("echo x > $ROOM/some-file") == 0
"""
BYTES = """
        with (room / "ballast").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(65536)):
                    pass
            except OSError:
                pass
"""
INODES = """
        (room / "ballast").mkdir()
        try:
            for number in range(1_000_000):
                (room / "ballast" / str(number)).touch()
        except OSError:
            pass
"""
DIES = f"""
        import ctypes, fcntl
        fd = os.open(room, os.O_RDONLY)
        fcntl.ioctl(fd, {EXT4_SHUTDOWN}, ctypes.c_uint32({NO_FLUSH}))
        os.close(fd)
"""


@pytest.fixture
def tiny(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[TinyRecipe]:
    """A tiny recipe with a published version and a head; nothing of it stays."""
    made = TinyRecipe(tmp_path, f"tiny-{abs(hash(request.node.name)) % 100_000}")
    made.commit(tag=True)
    made.commit(version="1.1.0+1", nginx="# new")
    yield made
    made.clean()


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[Path]:
    """Mount a small file system for the time of a test."""
    place.mkdir()
    subprocess.run(["mount", *options, str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def tmpfs(place: Path, size: str, inodes: int = 0) -> Iterator[Path]:
    """Mount a small file system in memory."""
    limits = f"size={size}" + (f",nr_inodes={inodes}" if inodes else "")
    with mounted(place, "-t", "tmpfs", "-o", limits, "tmpfs") as found:
        yield found


@contextmanager
def ext4(place: Path) -> Iterator[Path]:
    """Mount a small ext4, kept in a file."""
    image = place.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(160 * 1024**2)
    subprocess.run(["mkfs.ext4", "-q", "-N", "8000", str(image)], check=True)
    with mounted(place, "-o", "loop", str(image)) as found:
        yield found


def judged(ended: RunProcess) -> tuple[int, str]:
    """Return status and verdict."""
    return ended.exit_code, ended.report.verdict.value


def fill(tiny: TinyRecipe, how: str) -> None:
    """Let trouble come in the middle of the fresh life, when its app stands."""
    tiny.write_suite(FILL.format(how=how.strip()))


def no_blame(ended: RunProcess) -> None:
    """Require that the level does not count and no state of the commit is a failure."""
    found = ended.report
    assert found.commit_state == "error"
    assert found.level is None or "does not count" in found.level_note


@pytest.mark.parametrize(
    ("what", "how", "inodes", "said"),
    [
        ("the runs' disk fills up in the middle", BYTES, 0, "MiB are free in"),
        ("the runs' disk runs out of inodes in the middle", INODES, 4_000, "inodes are free in"),
    ],
    ids=["bytes", "inodes"],
)
def test_incident_j2_a_disk_that_fills_up_in_the_middle(
    tiny: TinyRecipe, tmp_path: Path, what: str, how: str, inodes: int, said: str
) -> None:
    """J2: torn down, exit 16, a report that says what was full; its end is in the file of events."""
    fill(tiny, how)
    with (
        tmpfs(tmp_path / "runs", "90m", inodes) as runs,
        trial(PART, what, incidents=("J2",)) as made,
    ):
        env = {**os.environ, "CCCI_RUNS_DIR": str(runs), "ROOM": str(runs)}
        ended = tiny.run(*UPGRADE, env=env)
        made.seconds += [ended.report.seconds]
        made.none_lost(tiny.left())
        assert judged(ended) == INFRA, ended.out
        assert said in ended.failure_text and f"'{runs}'" in ended.failure_text
        (blamed,) = [c for c in ended.report.cases if c.id.startswith("test_something_is_written")]
        assert blamed.fault == "infra" and "(test failed with: " in blamed.message
        assert json.loads((ended.dir / "report.json").read_text())["verdict"] == "infra"
        no_blame(ended)


def test_a_full_disk_takes_events_to_the_last(tmp_path: Path) -> None:
    """Room was set aside while there was some, so nothing of a run's end is lost."""
    with (
        tmpfs(tmp_path / "run", "4m") as folder,
        trial(PART, "1,000 events on a disk that is full", times=1000) as made,
    ):
        log = EventLog(folder / "events.jsonl")
        with contextlib.suppress(OSError), (folder / "ballast").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        assert os.statvfs(folder).f_bavail == 0
        for number in range(1000):
            log.write("note", text=str(number))
        found = {event.text("text") for event in events.read(folder / "events.jsonl").events}
        made.none_lost(sorted({str(number) for number in range(1000)} - found))
        assert log.write_error == ""
        log.close()


def test_a_disk_that_dies_in_the_middle(tiny: TinyRecipe, tmp_path: Path) -> None:
    """Everything on it answers EIO: torn down, exit 16, and the build's log has the whole report."""
    fill(tiny, DIES)
    with ext4(tmp_path / "runs") as runs, trial(PART, "the runs' disk dies in the middle") as made:
        env = {**os.environ, "CCCI_RUNS_DIR": str(runs), "ROOM": str(runs), "DRONE": "true"}
        with made.timed():
            ended = tiny.run(*UPGRADE, env=env)
        made.none_lost(tiny.left())
        assert ended.exit_code == 16, ended.out
        marked = [line for line in ended.out.splitlines() if '"event": "run-report"' in line]
        told = json.loads(marked[-1].removeprefix("::cc-ci:: "))
        assert (told["verdict"], told["commit_state"]) == ("infra", "error")
        assert "cannot record an event" in told["reason"]


def test_reports_that_no_disk_took_are_written_by_the_next_run(
    tiny: TinyRecipe, tmp_path: Path
) -> None:
    """The events of a run whose disk is full are whole, so its report can be made at any time."""
    with tmpfs(tmp_path / "runs", "90m") as runs, trial(PART, "a report is written later") as made:
        env = {**os.environ, "CCCI_RUNS_DIR": str(runs)}
        first = tiny.run(*INSTALL, env=env)
        assert judged(first) == (0, "passed")
        for name in run_files.REPORTS:
            (first.dir / name).unlink()
        first.dir.rename(runs / "earlier")
        second = tiny.run(*INSTALL, env=env)
        assert judged(second) == (0, "passed")
        assert "wrote the reports of run earlier" in second.out
        assert json.loads((runs / "earlier" / "report.json").read_text())["verdict"] == "passed"
        made.none_lost(tiny.left())


@pytest.mark.parametrize(
    "name", ["CCCI_RUNS_DIR", "CCCI_ACTIVE_DIR", "CCCI_SLOTS_DIR", "CCCI_LOCK_DIR"]
)
def test_a_read_only_folder_is_refused_before_anything(
    tiny: TinyRecipe, tmp_path: Path, name: str
) -> None:
    """Exit 16 and one sentence that names the folder; nothing is deployed."""
    place = tmp_path / "place"
    with (
        mounted(place, "-t", "tmpfs", "-o", "ro", "tmpfs"),
        trial(PART, "a read-only folder") as made,
    ):
        with made.timed():
            ended = tiny.run(*INSTALL, env={**os.environ, name: str(place)})
        assert ended.exit_code == 16
        assert f"the file system of '{place}' is mounted read-only" in ended.out
        made.none_lost(tiny.left())


def test_a_full_registry_of_apps_is_infrastructure(tiny: TinyRecipe, tmp_path: Path) -> None:
    """The second life cannot be registered, so it is not begun; the first one is gone."""
    fill(tiny, BYTES)
    with (
        tmpfs(tmp_path / "active", "2m") as active,
        trial(PART, "the registry's disk fills up") as made,
    ):
        env = {**os.environ, "CCCI_ACTIVE_DIR": str(active), "ROOM": str(active)}
        ended = tiny.run(*UPGRADE, env=env)
        made.seconds += [ended.report.seconds]
        made.none_lost(tiny.left())
        assert judged(ended) == INFRA, ended.out
        assert f"'{active}" in ended.failure_text
        no_blame(ended)


class ImageRegistry(BaseHTTPRequestHandler):
    """An image registry that is well, but for what its server's `way` says of manifests."""

    protocol_version = "HTTP/1.1"
    way: tuple[int, str] = (200, "{}")

    def do_GET(self) -> None:
        """Answer as the registry's API does."""
        status, body = (200, "{}") if self.path == "/v2/" else self.way
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
        """Say nothing."""


@pytest.fixture
def served() -> Iterator[Callable[[tuple[int, str]], str]]:
    """An image registry on loopback that answers for manifests as told; returns its address."""
    servers = []

    def serve(way: tuple[int, str]) -> str:
        handler = type("Told", (ImageRegistry,), {"way": way})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def error(code: str) -> str:
    """Return a registry's error."""
    return json.dumps({"errors": [{"code": code, "message": code.lower()}]})


@pytest.mark.parametrize(
    ("what", "way", "expected"),
    [
        ("image registry limits (429)", (429, error("TOOMANYREQUESTS")), INFRA),
        ("image registry is away (503)", (503, "no back-end"), INFRA),
        ("a bare 404 before the image registry", (404, "404 page not found"), INFRA),
        ("image registry has no such image", (404, error("MANIFEST_UNKNOWN")), (1, "recipe")),
    ],
)
def test_incident_r7_an_image_registry_that_does_not_serve(
    tiny: TinyRecipe,
    served: Callable[[tuple[int, str]], str],
    what: str,
    way: tuple[int, str],
    expected: tuple[int, str],
) -> None:
    """R7: only an image that the registry says it has not is the recipe's fault."""
    pulled(tiny, served(way), what, expected)


@pytest.mark.parametrize(("what", "listens"), [("refuses", False), ("says nothing", True)])
def test_incident_r7_an_image_registry_that_is_not_there(
    tiny: TinyRecipe, what: str, listens: bool
) -> None:
    """R7: a closed port, and one that accepts and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen()
        pulled(tiny, f"127.0.0.1:{silent.getsockname()[1]}", f"image registry {what}", INFRA)


def test_incident_r7_an_image_registry_whose_name_does_not_resolve(tiny: TinyRecipe) -> None:
    """R7: DNS is gone."""
    pulled(tiny, "registry.invalid", "image registry's name does not resolve", INFRA)


def pulled(tiny: TinyRecipe, address: str, what: str, expected: tuple[int, str]) -> None:
    """Run a recipe whose image comes from there."""
    tiny.commit(image=f"{address}/team/app:1", version="1.2.0+1")
    with trial(PART, what, incidents=("R7",), bound=90) as made:
        with made.timed():
            ended = tiny.run(*INSTALL)
        made.in_time()
        made.none_lost(tiny.left())
        assert judged(ended) == expected, ended.out
        assert f"pulling image '{address}/team/app:1' failed before" in ended.failure_text
        if expected == INFRA:
            no_blame(ended)


@pytest.mark.parametrize(
    ("what", "url"),
    [
        ("forge refuses", "http://127.0.0.1:1/{recipe}.git"),
        ("forge's name does not resolve", "https://forge.invalid/{recipe}.git"),
    ],
)
def test_incident_l12_a_forge_that_is_away(tiny: TinyRecipe, what: str, url: str) -> None:
    """L12: exit 16, a report that says what was asked for, nothing deployed."""
    with trial(PART, what, incidents=("L12",), bound=60) as made:
        with made.timed():
            ended = tiny.run(*INSTALL, env={**os.environ, "CCCI_RECIPES_URL": url})
        made.in_time()
        assert judged(ended) == INFRA, ended.out
        assert ended.report.ref == tiny.head()
        assert "cloning 'http" in ended.failure_text
        made.none_lost(tiny.left())
        no_blame(ended)


CGROUPS = Path("/sys/fs/cgroup/memory/docker")
HUNGRY = (
    "until [ $(cat /sys/fs/cgroup/memory/memory.limit_in_bytes) -lt 100000000 ]; do sleep 0.1; done; "
    "perl -e '$x = \"x\" x 400_000_000; sleep 100'"
)


@pytest.mark.skipif(not CGROUPS.is_dir(), reason="needs memory cgroups of the first version")
def test_memory_of_the_host_that_runs_out_is_infrastructure(tiny: TinyRecipe) -> None:
    """The kernel ends a task that has no limit of its own: what was missing was the host's."""
    tiny.commit(HUNGRY, version="1.2.0+1")
    over = threading.Event()

    def squeeze() -> None:
        while not over.wait(0.1):
            for stack in tiny.stacks():
                label = {"label": f"com.docker.stack.namespace={stack}"}
                for container in engine.client().containers(filters=label):
                    limit = CGROUPS / container["Id"] / "memory.limit_in_bytes"
                    if limit.exists():
                        limit.write_text("64000000")

    thread = threading.Thread(target=squeeze, daemon=True)
    thread.start()
    try:
        with trial(PART, "the kernel ends a task for want of memory", bound=60) as made:
            ended = tiny.run(*INSTALL)
            made.seconds += [ended.report.phases["deploy"]]
            made.in_time()
            made.none_lost(tiny.left())
            assert judged(ended) == INFRA, ended.out
            assert "out of memory: the kernel killed service 'app'" in ended.failure_text
            no_blame(ended)
    finally:
        over.set()
        thread.join()
