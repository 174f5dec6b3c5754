"""Builds the images of the test bed; an image is built again if the content of its folder changes.

Only Traefik is pulled, and only if an image registry answers. The programs come from Debian's packages and
from Go modules pinned in `tools/`.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.host import paths
from sandbox.host.shell import run, say, works

BASE = "ccci/base:bookworm"
SOURCES = paths.CHECKOUT / "sandbox" / "images"
TOOLS = paths.CHECKOUT / "tools"
LABEL = "cc-ci.content"
GO_TIMEOUT = 3600.0  # seconds; Traefik takes seven minutes on two cores


def ensure_images() -> None:
    """Make sure that every image exists."""
    _ensure_base()
    for release in ("1.22.1", "1.22.1-1"):
        _ensure_image(f"ccci/nginx:{release}", "nginx", args={"RELEASE": release})
    _ensure_image("ccci/postgres:15", "postgres")
    for version in paths.MINIFLUX:
        _ensure_image(
            f"ccci/miniflux:{version}",
            "miniflux",
            files={"miniflux": functools.partial(_miniflux, version)},
            salt=version,
        )
    _ensure_image("ccci/backup-bot:1", "backup-bot", files={"docker": _docker_cli})
    ensure_traefik()


def ensure_traefik() -> str:
    """Make sure that Traefik's image exists; return its name."""
    name = f"ccci/traefik:{paths.TRAEFIK}"
    if works(["docker", "image", "inspect", name]):
        return name
    official = f"traefik:v{paths.TRAEFIK}"
    if works(["docker", "pull", "--quiet", official], timeout=60):
        run(["docker", "tag", official, name])
        return name
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    _ensure_image(
        name, "traefik", files={"traefik": _traefik, certificates.name: lambda: certificates}
    )
    return name


def _ensure_base() -> None:
    """Make Debian's base image with mmdebstrap, without documentation and package caches."""
    if works(["docker", "image", "inspect", BASE]):
        return
    with building("base"), tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "base.tar"
        excluded = [
            f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")
        ]
        apt = 'APT::Install-Recommends "false";\\nDir::Cache::pkgcache "";\\nDir::Cache::srcpkgcache "";\\n'
        hook = f"printf '{apt}' > \"$1/etc/apt/apt.conf.d/90small\""
        words = ["mmdebstrap", "--variant=minbase", "--include=ca-certificates", *excluded]
        command = [*words, f"--customize-hook={hook}", "bookworm", str(archive)]
        run(command, doing="creating Debian's base image", timeout=900)
        run(["docker", "import", "-c", 'CMD ["bash"]', str(archive), BASE])


def _ensure_image(
    name: str,
    folder: str,
    *,
    args: dict[str, str] | None = None,
    files: dict[str, Callable[[], Path]] | None = None,
    salt: str = "",
) -> None:
    """Build an image unless one with the same content exists.

    Args:
        name: with tag.
        folder: of its Dockerfile below `sandbox/images`.
        args: build arguments.
        files: functions that return a program for the image, by the file name it gets there.
        salt: part of the content that is not in the folder, such as a version.
    """
    source = SOURCES / folder
    content = _digest(source, f"{args}{salt}")
    form = f'{{{{index .Config.Labels "{LABEL}"}}}}'
    inspect = ["docker", "image", "inspect", name, "--format", form]
    if works(inspect) and run(inspect).strip() == content:
        return
    programs = {target: find() for target, find in (files or {}).items()}
    with tempfile.TemporaryDirectory() as context:
        shutil.copytree(source, context, dirs_exist_ok=True)
        for target, program in programs.items():
            shutil.copy(program, Path(context) / target)
        words = [f"--build-arg={key}={value}" for key, value in (args or {}).items()]
        env = {**os.environ, "DOCKER_BUILDKIT": "0"}
        command = ["docker", "build", "--quiet", *words, f"--label={LABEL}={content}", "-t", name]
        run([*command, context], doing=f"building image {name}", timeout=1800, env=env)


def _digest(folder: Path, salt: str) -> str:
    found = hashlib.sha256(salt.encode())
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        found.update(f"{path.relative_to(folder)}\0{path.stat().st_mode}\0".encode())
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def _traefik() -> Path:
    flags = f"-s -w -X github.com/traefik/traefik/v3/pkg/version.Version={paths.TRAEFIK}"
    package = "github.com/traefik/traefik/v3/cmd/traefik"
    return _go("traefik", paths.TRAEFIK, "traefik", package, flags)


def _miniflux(version: str) -> Path:
    flags = f"-s -w -X miniflux.app/v2/internal/version.Version={version}"
    return _go("miniflux", version, f"miniflux-{version}", "miniflux.app/v2", flags)


def gitea(tags: str) -> Path:
    """Return Gitea's program, built once with these build tags; its SQLite needs a C compiler."""
    flags = f"-s -w -X main.Version={paths.GITEA}"
    return _go("gitea", paths.GITEA, "gitea", "code.gitea.io/gitea", flags, tags=tags)


def _docker_cli() -> Path:
    """Return Docker's client of this host, for the backup bot."""
    found = shutil.which("docker")
    assert found is not None
    return Path(found).resolve()


def _go(program: str, version: str, tool: str, package: str, flags: str, *, tags: str = "") -> Path:
    """Build a Go program from the modules that `tools/<tool>` pins, once; return its path.

    With build tags it is built with cgo.
    """
    target = paths.CACHE / f"{program}-{version}" / program
    with building(program):
        if target.exists():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        cgo = "1" if tags else "0"
        env = {**os.environ, "CGO_ENABLED": cgo, "GOFLAGS": "-mod=readonly"}
        command = ["go", "build", "-trimpath", "-tags", tags, "-ldflags", flags]
        command += ["-o", str(part), package]
        doing = f"building {program} {version} from its Go module"
        run(command, doing=doing, cwd=TOOLS / tool, timeout=GO_TIMEOUT, env=env)
        os.replace(part, target)
    return target


@contextmanager
def building(name: str) -> Iterator[None]:
    """Let only one process at a time build this."""
    paths.STATE.mkdir(parents=True, exist_ok=True)
    with (paths.STATE / f"{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is building {name}; waiting for it …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
