"""Git commands of a run: fetch exactly one commit, read tags, move the checkout.

A recipe's repository is untrusted: no hooks or filters run, no submodules are fetched, git never
prompts. Symbolic links that leave the checkout are refused, and so are commits that are too large.
Gitea allows `git fetch <sha>` for any commit of a pull request, also after a force-push (measured with
1.26).
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness.errors import CommandFailed, InfraError, RecipeFailure, TimedOut, UsageError
from harness.host import proc
from harness.host.proc import Completed
from harness.recipe.limits import MAX_FILES, MAX_TREE_SIZE

COMMAND_TIMEOUT = 120.0  # seconds for one command
COUNT_TIMEOUT = 10.0  # seconds to count a commit's files; a normal recipe takes milliseconds
MAX_WRITTEN_FILE = 1024**3  # bytes that git may write into one file, fetched packs included
SAFE_CONFIG = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    ("maintenance.auto", "false"),
    ("gc.auto", "0"),
    ("protocol.ext.allow", "never"),
    ("safe.directory", "*"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("advice.detachedHead", "false"),
    ("http.lowSpeedLimit", "100"),  # bytes a second: a server that sends less than this
    ("http.lowSpeedTime", "30"),  # for this many seconds counts as not available
)
# Errors of servers that give out commits only by the name of a branch, or do not have the commit.
COMMIT_REFUSED = re.compile(
    "not our ref|unadvertised object|couldn't find remote ref|no such remote ref", re.IGNORECASE
)
# Environment variables that git gets: those for network access, and the run's id (for the janitor).
PASSED_VARIABLES = (
    *("PATH", "HOME", "CCCI_RUN", "SSH_AUTH_SOCK", "GIT_SSL_CAINFO", "SSL_CERT_FILE"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
)
FULL_SHA = re.compile(r"[0-9a-f]{40}")
HEAD_REF = "refs/ccci/head"  # ref in the mirror for a commit that only a fork has


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag; `commit` is the full sha that it points to."""

    name: str
    commit: str
    annotated: bool


def is_full_sha(text: str) -> bool:
    """Return True if a text is a full commit sha: exactly 40 lower-case hex digits."""
    return FULL_SHA.fullmatch(text) is not None


def resolve(url: str, name: str | None) -> str:
    """Return the full sha of a branch's newest commit.

    Args:
        url: the repository.
        name: the branch, None for the default branch.

    Raises:
        UsageError: the repository has no such branch.
        InfraError: the repository is not available.
    """
    ref = f"refs/heads/{name}" if name else "HEAD"
    doing = f"reading {ref} of '{url}'"
    out = _git(None, "ls-remote", "--", url, ref, doing=doing).out
    rows = [line.partition("\t") for line in out.split("\n")]
    found = [sha for sha, _, full in rows if full == ref and is_full_sha(sha)]
    if not found:
        what = f"branch '{name}'" if name else "commit on its default branch"
        raise UsageError(f"'{url}' has no {what}")
    return found[0]


def fetch_checkout(url: str, ref: str, target: Path, *, upstream_url: str | None = None) -> None:
    """Clone the recipe with its published tags and check out exactly one commit.

    Afterwards `origin` is a bare clone on this disk, so that later commands (abra fetches tags on its
    own) need neither network nor credentials. Tags of a fork are not fetched: a pull request must not
    decide which versions are published.

    Args:
        url: repository with the commit, for example a fork.
        ref: full sha of the commit.
        target: folder of the checkout; replaced if it exists.
        upstream_url: repository with the published tags, `url` if None.

    Raises:
        UsageError: `ref` is not a full sha, or the repository does not have it.
        RecipeFailure: the commit has too many or too large files, or a link leaves the checkout.
        InfraError: a repository is not available.
    """
    if not is_full_sha(ref):
        raise UsageError(f"REF is '{ref}', but must be a full commit sha (40 hex digits)")
    mirror = target.parent.parent / "mirrors" / f"{target.name}.git"
    for folder in (mirror, target):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in (mirror.parent, target.parent):
        folder.mkdir(parents=True, exist_ok=True)
    origin = upstream_url or url
    _git(None, "clone", "--bare", "--quiet", "--", origin, mirror, doing=f"cloning '{origin}'")
    if not _has(mirror, ref):
        _fetch_commit(mirror, url, ref)
    doing = "cloning from the local mirror"
    _git(None, "clone", "--quiet", "--no-checkout", "--", mirror, target, doing=doing)
    if not _has(target, ref):
        _git(target, "fetch", "--quiet", "--no-tags", "origin", HEAD_REF, doing=doing)
    checkout(target, ref)


def _fetch_commit(mirror: Path, url: str, ref: str) -> None:
    """Fetch one commit by its sha; if the server refuses that, fetch all refs."""
    fetch = ("fetch", "--quiet", "--no-tags", "--", url)
    doing = f"fetching from '{url}'"
    done = _git(mirror, *fetch, f"{ref}:{HEAD_REF}", doing=doing, check=False)
    found = done.exit_code == 0
    if not found and not COMMIT_REFUSED.search(done.text):
        error = (done.text.splitlines() or ["git printed no error"])[-1]
        raise InfraError(f"{doing} failed: {error}")
    if not found:
        _git(mirror, *fetch, "+refs/*:refs/ccci/all/*", doing=doing)
    if not _has(mirror, ref):
        raise UsageError(f"commit {ref} is not in '{url}'")
    if not found:
        _git(mirror, "update-ref", HEAD_REF, ref, doing="keeping the commit")


def _has(repository: Path, ref: str) -> bool:
    done = _git(repository, "cat-file", "-t", ref, doing="looking for the commit", check=False)
    return done.exit_code == 0 and done.out.strip() == "commit"


def checkout(target: Path, ref: str) -> None:
    """Move the checkout to a commit; local changes and untracked files are removed.

    Raises:
        RecipeFailure: the commit has too many or too large files, or a link leaves the checkout.
        InfraError: the repository does not have the commit.
    """
    _refuse_heavy(target, ref)
    words = ("checkout", "--quiet", "--force", "--detach", ref)
    try:
        _git(target, *words, doing=f"checking out {ref[:8]}")
    except InfraError as error:
        invalid = re.search(r"invalid path '(.*)'", str(error))
        if invalid is None:
            raise
        raise RecipeFailure(
            f"the recipe has a file '{invalid[1]}', which some file systems treat as '.git'"
        ) from error
    _git(target, "clean", "--quiet", "-ffdx", doing="cleaning the checkout")
    refuse_escaping_links(target)


def version_tags(target: Path) -> list[Tag]:
    """Return all tags that point to a commit, sorted by name."""
    fields = ("refname:lstrip=2", "objecttype", "objectname", "*objecttype", "*objectname")
    form = "%09".join(f"%({field})" for field in fields)
    out = _git(target, "for-each-ref", f"--format={form}", "refs/tags", doing="listing tags").out
    tags = []
    for line in filter(None, out.split("\n")):  # not splitlines(): a tag's name may contain U+2028
        name, kind, commit, peeled_kind, peeled = line.split("\t")
        if kind == "commit":
            tags.append(Tag(name, commit, annotated=False))
        elif peeled_kind == "commit":
            tags.append(Tag(name, peeled, annotated=True))
    return tags


def _refuse_heavy(target: Path, ref: str) -> None:
    """Refuse a commit with too many or too large files before any of them is written.

    A few small git trees that contain each other become millions of files when checked out.

    Raises:
        RecipeFailure: says how many, or how large.
    """
    words = ("ls-tree", "-r", "-l", "-z", "--full-tree", ref)
    try:
        out = _git(target, *words, doing="counting the recipe's files", timeout=COUNT_TIMEOUT).out
    except InfraError as error:
        if not isinstance(error.__cause__, TimedOut):
            raise
        raise RecipeFailure(
            f"the recipe has too many files: counting them took more than {COUNT_TIMEOUT:.0f} s"
        ) from error
    sizes = [entry.partition("\t")[0].split()[-1] for entry in out.split("\0") if "\t" in entry]
    if len(sizes) > MAX_FILES:
        raise RecipeFailure(f"the recipe has {len(sizes)} files; at most {MAX_FILES} are allowed")
    total = sum(int(size) for size in sizes if size.isdigit())
    if total > MAX_TREE_SIZE:
        raise RecipeFailure(
            f"the recipe's files are {total // 1024**2} MiB in total; at most "
            f"{MAX_TREE_SIZE // 1024**2} MiB are allowed"
        )


def refuse_escaping_links(target: Path) -> None:
    """Refuse symbolic links that point outside of the checkout, into its `.git`, or at themselves.

    Raises:
        RecipeFailure: names the link and its target.
    """
    for folder, folders, files in os.walk(target):
        if Path(folder) == target and ".git" in folders:
            folders.remove(".git")
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink() and not _stays_in(target.resolve(), path):
                raise RecipeFailure(
                    f"the link '{path.relative_to(target)}' of the recipe points to "
                    f"'{os.readlink(path)}', which is outside of the recipe's files"
                )


def _stays_in(root: Path, link: Path) -> bool:
    try:
        real = link.resolve()
    except (OSError, RuntimeError):  # links that point to each other
        return False
    return real.is_relative_to(root) and not real.is_relative_to(root / ".git")


def _git(
    folder: Path | None,
    *words: str | Path,
    doing: str,
    check: bool = True,
    timeout: float = COMMAND_TIMEOUT,
) -> Completed:
    """Run git without hooks, prompts or the host's configuration.

    Raises:
        InfraError: git failed or timed out; the message starts with `doing`.
    """
    settings = [part for key, value in SAFE_CONFIG for part in ("-c", f"{key}={value}")]
    inside = ["-C", str(folder)] if folder else []
    passed = {key: os.environ[key] for key in PASSED_VARIABLES if key in os.environ}
    env = {
        **passed,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C.UTF-8",
    }
    shown = " ".join(["git", *map(str, words[:5])])
    argv = ["git", *settings, *inside, *words]
    try:
        return proc.run(
            argv, timeout=timeout, env=env, check=check, shown=shown, max_file_size=MAX_WRITTEN_FILE
        )
    except (CommandFailed, TimedOut) as error:
        raise InfraError(f"{doing} failed: {error}") from error
