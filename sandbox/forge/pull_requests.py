"""The pull requests of the sandbox's forge: what each shows and how its branch is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.forge.gitea import Gitea
from sandbox.host import paths, recipes_setup

ORG = "recipes"
BOT, MEMBER, NON_MEMBER = "ccbot", "alice", "mallory"
BROKEN_VARIANT = "crash-loop"


@dataclass(frozen=True, slots=True)
class PullRequest:
    """One pull request.

    Attributes:
        recipe: name of the recipe.
        branch: its branch.
        title: its title.
        user: who opens it.
        expected: what a run of it shows, for the guide.
        push: pushes the branch and returns its name as seen from the recipe's repository.
    """

    recipe: str
    branch: str
    title: str
    user: str
    expected: str
    push: Callable[[Gitea, PullRequest], str]

    @property
    def repo(self) -> str:
        """The recipe's repository."""
        return f"{ORG}/{self.recipe}"


def _head(forge: Gitea, pull_request: PullRequest) -> str:
    """Push the demo recipe's own next version."""
    source = paths.RECIPES / pull_request.recipe
    forge.push(source, pull_request.repo, f"refs/heads/pr:refs/heads/{pull_request.branch}")
    return pull_request.branch


def _broken(forge: Gitea, pull_request: PullRequest) -> str:
    """Commit the files that a broken variant changes."""
    for path in sorted((recipes_setup.BROKEN / BROKEN_VARIANT / "head").iterdir()):
        text = path.read_text()
        forge.commit(
            pull_request.repo, pull_request.branch, path.name, text, user=pull_request.user
        )
    return pull_request.branch


def _fork(forge: Gitea, pull_request: PullRequest) -> str:
    """Fork the recipe, push its next version to the fork, and add a line to the README."""
    fork = forge.fork(pull_request.repo, pull_request.user)
    source = paths.RECIPES / pull_request.recipe
    refs = f"refs/heads/pr:refs/heads/{pull_request.branch}"
    forge.push(source, fork, refs, user=pull_request.user)
    text = (recipes_setup.SOURCES / pull_request.recipe / "head" / "README.md").read_text()
    text += "\nA line by a non-member.\n"
    forge.commit(fork, pull_request.branch, "README.md", text, user=pull_request.user)
    return f"{pull_request.user}:{pull_request.branch}"


GOOD = PullRequest(
    "custom-html", "charset", "Serve text as UTF-8", MEMBER, "good: passes with level 5", _head
)
RED = PullRequest(
    "custom-html", "licence", "Ask for a licence", MEMBER, "broken: fails in install", _broken
)
FORKED = PullRequest(
    "custom-html",
    "outside",
    "A line for the README",
    NON_MEMBER,
    "by a non-member, from a fork",
    _fork,
)
WITH_DATABASE = PullRequest(
    "miniflux", "update", "Update miniflux", MEMBER, "good, with a database", _head
)
ALL = (GOOD, RED, FORKED, WITH_DATABASE)


def push_recipe(forge: Gitea, name: str) -> bool:
    """Make sure that the forge has a recipe with its published versions; return True if it was pushed."""
    repo = f"{ORG}/{name}"
    if forge.find(f"/repos/{repo}/branches/main"):
        return False
    if not forge.find(f"/repos/{repo}"):
        forge.create_repository(ORG, name)
    forge.push(paths.RECIPES / name, repo, "main", "--tags")
    return True


def number(forge: Gitea, pull_request: PullRequest) -> int | None:
    """Return the number of a pull request, open or closed; None if it does not exist."""
    rows = forge.find(f"/repos/{pull_request.repo}/pulls?state=all&limit=50") or []
    return next((int(row["number"]) for row in rows if row["title"] == pull_request.title), None)


def open_pull_request(forge: Gitea, pull_request: PullRequest) -> int:
    """Open a pull request; return its number."""
    head = pull_request.push(forge, pull_request)
    return forge.open_pull_request(
        pull_request.repo, head, pull_request.title, user=pull_request.user
    )
