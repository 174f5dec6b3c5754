"""Git, as far as a run needs it: fetch exactly one commit, read tags, move the checkout.

A recipe's repository is data: no hooks and filters run, no submodules are fetched, no prompts are
shown; a link that leaves the checkout is refused, and so is a tree too large for a recipe.
`git fetch <sha>` is allowed by Gitea for any commit of a pull request, also after a force-push
(measured with 1.26).
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
COUNT_TIMEOUT = 10.0  # seconds for counting a commit's files; a recipe's takes milliseconds
MAX_WRITTEN_FILE = 1024**3  # bytes that git may write into one file, a fetched pack too
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
    ("http.lowSpeedLimit", "100"),  # bytes a second: a server that accepts and says nothing …
    ("http.lowSpeedTime", "30"),  # … is given up after so many seconds
)
COMMIT_REFUSED = (
    re.compile(  # what servers say that give out a commit only by a branch's name, or not at all
        "not our ref|unadvertised object|couldn't find remote ref|no such remote ref", re.IGNORECASE
    )
)
PASSED_VARIABLES = (  # of our environment: what reaches a repository, and the mark of the run (the janitor's)
    *("PATH", "HOME", "CCCI_RUN", "SSH_AUTH_SOCK", "GIT_SSL_CAINFO", "SSL_CERT_FILE"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
)
FULL_SHA = re.compile(r"[0-9a-f]{40}")
HEAD_REF = "refs/ccci/head"  # where the mirror keeps a commit that only a fork has


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag: its name, the commit it points to, and whether it is annotated."""

    name: str
    commit: str
    annotated: bool


def is_full_sha(text: str) -> bool:
    """Say whether a text is a full commit sha: 40 lower-case hex digits and nothing else."""
    return FULL_SHA.fullmatch(text) is not None


def resolve(url: str, name: str | None) -> str:
    """Return the full sha of a branch, or of the default branch's head without a name.

    Raises:
        UsageError: the repository has no such branch.
        InfraError: the repository does not answer.
    """
    ref = f"refs/heads/{name}" if name else "HEAD"
    doing = f"asking '{url}' for {ref}"
    out = _git(None, "ls-remote", "--", url, ref, doing=doing).out
    rows = [line.partition("\t") for line in out.split("\n")]
    found = [sha for sha, _, full in rows if full == ref and is_full_sha(sha)]
    if not found:
        what = f"branch '{name}'" if name else "commit on its default branch"
        raise UsageError(f"'{url}' has no {what}")
    return found[0]


def fetch_checkout(url: str, ref: str, target: Path, *, upstream_url: str | None = None) -> None:
    """Clone the recipe with its published tags and check out exactly this commit.

    url: where the commit is (a fork, say). upstream_url: where the published tags are.
    Afterwards `origin` is a bare clone beside the checkout, so that no later command (abra fetches
    tags on its own) needs the network or credentials. Tags of a fork are left out: a pull request
    must not be able to say what is published.

    Raises:
        UsageError: `ref` is no full sha, or not in the repository.
        RecipeFailure: the commit has too many or too large files, or a link leaves the checkout.
        InfraError: a repository does not answer.
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
    """Fetch one commit by its sha; where the server refuses that, fetch everything and look."""
    fetch = ("fetch", "--quiet", "--no-tags", "--", url)
    doing = f"fetching from '{url}'"
    done = _git(mirror, *fetch, f"{ref}:{HEAD_REF}", doing=doing, check=False)
    found = done.exit_code == 0
    if not found and not COMMIT_REFUSED.search(done.text):
        said = (done.text.splitlines() or ["it did not say why"])[-1]
        raise InfraError(f"{doing} failed: {said}")
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
    """Move the checkout to a commit, whatever lies in it; untracked files are removed.

    Raises:
        RecipeFailure: the commit has too many or too large files, or a link leaves the checkout.
        InfraError: the checkout does not hold the commit.
    """
    _refuse_heavy(target, ref)
    words = ("checkout", "--quiet", "--force", "--detach", ref)
    try:
        _git(target, *words, doing=f"checking out {ref[:8]}")
    except InfraError as error:
        odd = re.search(r"invalid path '(.*)'", str(error))
        if odd is None:
            raise
        raise RecipeFailure(
            f"the recipe has a file '{odd[1]}', which some file systems take for git's own folder"
        ) from error
    _git(target, "clean", "--quiet", "-ffdx", doing="cleaning the checkout")
    refuse_escapes(target)


def version_tags(target: Path) -> list[Tag]:
    """Return all tags that point to a commit, sorted by name."""
    fields = ("refname:lstrip=2", "objecttype", "objectname", "*objecttype", "*objectname")
    form = "%09".join(f"%({field})" for field in fields)
    out = _git(target, "for-each-ref", f"--format={form}", "refs/tags", doing="listing tags").out
    tags = []
    for line in filter(None, out.split("\n")):  # a name may hold what else ends a line
        name, kind, commit, peeled_kind, peeled = line.split("\t")
        if kind == "commit":
            tags.append(Tag(name, commit, annotated=False))
        elif peeled_kind == "commit":
            tags.append(Tag(name, peeled, annotated=True))
    return tags


def _refuse_heavy(target: Path, ref: str) -> None:
    """Refuse a commit whose files are too many or too large, before any is written.

    A few small trees that hold each other several times are millions of files when checked out.

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
            f"the recipe has more files than can be counted in {COUNT_TIMEOUT:.0f} s"
        ) from error
    sizes = [entry.partition("\t")[0].split()[-1] for entry in out.split("\0") if "\t" in entry]
    if len(sizes) > MAX_FILES:
        raise RecipeFailure(f"the recipe has {len(sizes)} files; {MAX_FILES} are the most")
    total = sum(int(size) for size in sizes if size.isdigit())
    if total > MAX_TREE_SIZE:
        raise RecipeFailure(
            f"the recipe's files have {total // 1024**2} MiB; {MAX_TREE_SIZE // 1024**2} MiB are the most"
        )


def refuse_escapes(target: Path) -> None:
    """Refuse links that lead out of the checkout's files, in circles, or into its `.git`.

    Raises:
        RecipeFailure: names the link and where it leads.
    """
    for folder, folders, files in os.walk(target):
        if Path(folder) == target and ".git" in folders:
            folders.remove(".git")
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink() and not _stays_in(target.resolve(), path):
                raise RecipeFailure(
                    f"'{path.relative_to(target)}' in the recipe links to '{os.readlink(path)}', "
                    "which is outside of it"
                )


def _stays_in(root: Path, link: Path) -> bool:
    try:
        leads = link.resolve()
    except (OSError, RuntimeError):  # a circle of links
        return False
    return leads.is_relative_to(root) and not leads.is_relative_to(root / ".git")


def _git(
    where: Path | None,
    *words: str | Path,
    doing: str,
    check: bool = True,
    timeout: float = COMMAND_TIMEOUT,
) -> Completed:
    """Run git without hooks, prompts or the machine's configuration.

    Raises:
        InfraError: git failed or took too long, says at what.
    """
    settings = [part for key, value in SAFE_CONFIG for part in ("-c", f"{key}={value}")]
    place = ["-C", str(where)] if where else []
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
    argv = ["git", *settings, *place, *words]
    try:
        return proc.run(
            argv, timeout=timeout, env=env, check=check, shown=shown, max_file_size=MAX_WRITTEN_FILE
        )
    except (CommandFailed, TimedOut) as error:
        raise InfraError(f"{doing} failed: {error}") from error
