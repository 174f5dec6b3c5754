"""The pull requests that wait at the sandbox's forge: what each is for and how its branch comes to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.forge.gitea import Gitea
from sandbox.host import paths, recipes_setup

ORG = "recipes"
BOT, MEMBER, STRANGER = "ccbot", "alice", "mallory"
BROKEN = "crash-loop"


@dataclass(frozen=True, slots=True)
class PullRequest:
    """One pull request. push: makes its branch, `branch`, and returns the branch as seen from the recipe."""

    recipe: str
    branch: str
    title: str
    person: str
    promise: str
    push: Callable[[Gitea, PullRequest], str]

    @property
    def repo(self) -> str:
        """The recipe's repository."""
        return f"{ORG}/{self.recipe}"


def _head(forge: Gitea, proposal: PullRequest) -> str:
    """Push the demo recipe's own next version."""
    source = paths.RECIPES / proposal.recipe
    forge.push(source, proposal.repo, f"refs/heads/pr:refs/heads/{proposal.branch}")
    return proposal.branch


def _broken(forge: Gitea, proposal: PullRequest) -> str:
    """Commit what a broken variant changes."""
    for path in sorted((recipes_setup.BROKEN / BROKEN / "head").iterdir()):
        text = path.read_text()
        forge.commit(proposal.repo, proposal.branch, path.name, text, person=proposal.person)
    return proposal.branch


def _fork(forge: Gitea, proposal: PullRequest) -> str:
    """Fork the recipe, push its next version there, and add a line."""
    fork = forge.fork(proposal.repo, proposal.person)
    source = paths.RECIPES / proposal.recipe
    refs = f"refs/heads/pr:refs/heads/{proposal.branch}"
    forge.push(source, fork, refs, person=proposal.person)
    text = (recipes_setup.SOURCES / proposal.recipe / "head" / "README.md").read_text()
    text += "\nA line by somebody from outside.\n"
    forge.commit(fork, proposal.branch, "README.md", text, person=proposal.person)
    return f"{proposal.person}:{proposal.branch}"


GOOD = PullRequest(
    "custom-html", "charset", "Serve text as UTF-8", MEMBER, "good: ends green with level 5", _head
)
RED = PullRequest(
    "custom-html", "licence", "Ask for a licence", MEMBER, "broken: ends red in install", _broken
)
FORKED = PullRequest(
    "custom-html", "outside", "A line for the README", STRANGER, "a stranger's, from a fork", _fork
)
WITH_DATABASE = PullRequest(
    "miniflux", "update", "Update miniflux", MEMBER, "good, with a database", _head
)
ALL = (GOOD, RED, FORKED, WITH_DATABASE)


def recipe(forge: Gitea, name: str) -> bool:
    """Make sure that a recipe is at the forge with its published versions; say whether it was made."""
    repo = f"{ORG}/{name}"
    if forge.there(f"/repos/{repo}/branches/main"):
        return False
    if not forge.there(f"/repos/{repo}"):
        forge.repository(ORG, name)
    forge.push(paths.RECIPES / name, repo, "main", "--tags")
    return True


def number(forge: Gitea, proposal: PullRequest) -> int | None:
    """Return the number of the pull request, closed or not; None before it is opened."""
    rows = forge.there(f"/repos/{proposal.repo}/pulls?state=all&limit=50") or []
    return next((int(row["number"]) for row in rows if row["title"] == proposal.title), None)


def open_pull(forge: Gitea, proposal: PullRequest) -> int:
    """Open the pull request; return its number."""
    head = proposal.push(forge, proposal)
    return forge.pull(proposal.repo, head, proposal.title, person=proposal.person)
