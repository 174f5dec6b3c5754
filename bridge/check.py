"""`python -m bridge --check [recipe]`: checks whether everything that `!testme` needs is there.

It changes nothing: to check a permission, it sends a request for an object that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from bridge.clients.drone import Drone
from bridge.clients.gitea import Gitea, NotAMember
from bridge.clients.http import CallError
from bridge.settings import Settings
from contract import enrolled
from contract.finding import Finding

PART_WIDTH = 28  # characters


class Missing(Exception):
    """Something that is needed is missing. The text says what was found; `fix` says what to do."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(found)
        self.fix = fix


def examine(settings: Settings, recipe: str = "") -> Iterator[Finding]:
    """Check the servers, then recipes.

    Args:
        settings: the settings of the bridge.
        recipe: the only recipe to check, "" for all enrolled ones.

    Yields:
        A finding for each part.
    """
    check = _Check(settings)
    yield _finding("forge", check.forge)
    yield _finding("membership", check.membership)
    yield _finding("webhook", check.webhook)
    yield _finding("Drone", check.drone)
    for name in [recipe] if recipe else sorted(enrolled.recipes(settings.recipes_dir)):
        yield _finding(f"{name}: suite", partial(check.suite, name))
        yield _finding(f"{name}: repository", partial(check.repository, name))
        yield _finding(f"{name}: status", partial(check.may_set_status, name))
        yield _finding(f"{name}: comments", partial(check.may_comment, name))


def _finding(part: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(part, ok=True, seen=check())
    except Missing as error:
        return Finding(part, ok=False, seen=str(error), fix=error.fix)
    except CallError as error:
        return Finding(part, ok=False, seen=str(error), fix="check the URL and the server's log")


class _Check:
    """Each method returns what it found, or raises Missing or CallError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._org = settings.gitea_org
        self._gitea = Gitea(settings.gitea_url, settings.gitea_token.get_secret_value())
        token = settings.drone_token.get_secret_value()
        self._drone = Drone(settings.drone_url, token, settings.drone_repo, settings.drone_branch)

    def forge(self) -> str:
        return f"{self._settings.gitea_url} accepts the token of '{self._login()}'"

    def _login(self) -> str:
        try:
            return self._gitea.login()
        except CallError as error:
            if error.kind == "denied":
                scopes = "read:user, read:organization, write:issue, write:repository"
                fix = f"create a token with the scopes {scopes}"
                raise Missing(f"the token is refused (HTTP {error.status})", fix) from error
            raise

    def membership(self) -> str:
        bot = self._login()
        fix = f"add '{bot}' to a team of the organisation"
        try:
            member = self._gitea.is_member(self._org, bot)
        except NotAMember:
            member = False
        except CallError as error:
            if error.kind == "denied":
                fix = "create a token with the scope read:organization"
                raise Missing("the token may not list members", fix) from error
            raise
        if not member:
            raise Missing(f"'{bot}' is not a member of '{self._org}', so it cannot see who is", fix)
        return f"'{bot}' is a member of '{self._org}'"

    def webhook(self) -> str:
        poll = self._settings.poll_seconds
        if self._settings.hook_secret is None and not poll:
            fix = "set BRIDGE_HOOK_SECRET_FILE or BRIDGE_POLL_SECONDS"
            raise Missing("there is neither a webhook secret nor polling", fix)
        if self._settings.hook_secret is None:
            return f"none; comments are found by polling every {poll:g} s"
        urls = self._gitea.hooks(self._org)
        if urls is None:
            rest = f"; polling every {poll:g} s works without one" if poll else ""
            return f"this token may not list the organisation's webhooks{rest}"
        if not any(url.rstrip("/").endswith("/hook") for url in urls):
            fix = f"add one to '{self._org}' for comments and pull requests, with a URL that ends in /hook"
            raise Missing("the organisation has no webhook for a bridge", fix)
        return f"one of the organisation's webhooks ({len(urls)}) leads to a bridge"

    def drone(self) -> str:
        fix = "docs/bridge.md: create a machine user that is an admin"
        try:
            login, admin = self._drone.user()
        except CallError as error:
            if error.kind == "denied":
                raise Missing("Drone refuses the token", fix) from error
            raise
        if not admin:
            raise Missing(
                f"Drone's user '{login}' is not an admin, so it may not start builds", fix
            )
        return self._active(login)

    def _active(self, login: str) -> str:
        repo = self._settings.drone_repo
        try:
            active = self._drone.is_active()
        except CallError as error:
            if error.kind == "missing":
                fix = "synchronise Drone with the forge, then activate the repository"
                raise Missing(f"Drone has no repository '{repo}'", fix) from error
            raise
        if not active:
            raise Missing(f"'{repo}' is not active in Drone", "activate it in Drone's settings")
        return f"'{repo}' is active, '{login}' may start builds"

    def suite(self, recipe: str) -> str:
        folder = self._settings.recipes_dir / recipe
        if recipe not in enrolled.recipes(self._settings.recipes_dir):
            raise Missing(f"there is no folder '{folder}'", "create it; see docs/enroll.md")
        return f"{folder}"

    def repository(self, recipe: str) -> str:
        repo = f"{self._org}/{recipe}"
        try:
            archived = self._gitea.is_archived(repo)
        except CallError as error:
            if error.kind == "missing":
                fix = "create it, or give the bot's team access to it"
                raise Missing(f"the bot sees no repository '{repo}'", fix) from error
            raise
        if archived:
            raise Missing(f"'{repo}' is archived, so nobody can comment", "unarchive it")
        return f"'{repo}' is readable"

    def may_set_status(self, recipe: str) -> str:
        reason = self._gitea.why_no_status(f"{self._org}/{recipe}")
        if reason:
            fix = "give the token write:repository, and the bot's team write permission on code"
            raise Missing(f"the bot may not set commit statuses: {reason}", fix)
        return "the bot may set commit statuses"

    def may_comment(self, recipe: str) -> str:
        reason = self._gitea.why_no_reaction(f"{self._org}/{recipe}")
        if reason:
            raise Missing(f"the bot may not comment: {reason}", "give the token write:issue")
        return "the bot may comment and react"
