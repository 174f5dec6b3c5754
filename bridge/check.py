"""`python -m bridge --check [recipe]`: is everything there that `!testme` needs, and if not, what is missing.

Nothing is changed: a right is asked for with a call that it lets through to a thing that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bridge.clients.drone import Drone
from bridge.clients.gitea import Gitea, NotAMember
from bridge.clients.http import CallError
from bridge.comments import guards
from bridge.settings import Settings
from contract.finding import Finding

PART_WIDTH = 28  # characters


class Missing(Exception):
    """Something that is needed and not there: what was seen, and what mends it."""

    def __init__(self, seen: str, fix: str) -> None:
        super().__init__(seen)
        self.fix = fix


def examine(settings: Settings, recipe: str = "") -> Iterator[Finding]:
    """Yield what is found of the servers, then of one recipe or of all enrolled ones."""
    asking = _Check(settings)
    yield _finding("forge", asking.forge)
    yield _finding("membership", asking.membership)
    yield _finding("webhook", asking.webhook)
    yield _finding("Drone", asking.drone)
    for name in [recipe] if recipe else sorted(guards.recipes(settings.recipes_dir)):
        yield _finding(f"{name}: suite", lambda n=name: asking.suite(n))  # type: ignore[misc]
        yield _finding(f"{name}: repository", lambda n=name: asking.repository(n))  # type: ignore[misc]
        yield _finding(f"{name}: status", lambda n=name: asking.may_set_status(n))  # type: ignore[misc]
        yield _finding(f"{name}: comments", lambda n=name: asking.may_comment(n))  # type: ignore[misc]


def _finding(part: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(part, ok=True, seen=look())
    except Missing as error:
        return Finding(part, ok=False, seen=str(error), fix=error.fix)
    except CallError as error:
        return Finding(part, ok=False, seen=str(error), fix="see the server's log and the address")


class _Check:
    """Each method returns what was seen, or raises Missing or CallError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._org = settings.gitea_org
        self._gitea = Gitea(settings.gitea_url, settings.gitea_token.get_secret_value())
        token = settings.drone_token.get_secret_value()
        self._drone = Drone(settings.drone_url, token, settings.drone_repo, settings.drone_branch)

    def forge(self) -> str:
        return f"{self._settings.gitea_url} takes the token of '{self._me()}'"

    def _me(self) -> str:
        try:
            return self._gitea.me()
        except CallError as error:
            if error.kind == "denied":
                fix = (
                    "make a token with read:user, read:organization, write:issue, write:repository"
                )
                raise Missing(f"the token is refused ({error.status})", fix) from error
            raise

    def membership(self) -> str:
        bot = self._me()
        fix = f"add '{bot}' to a team of the organisation"
        try:
            member = self._gitea.is_member(self._org, bot)
        except NotAMember:
            member = False
        except CallError as error:
            if error.kind == "denied":
                fix = "make a token with read:organization"
                raise Missing("the token may not ask who is a member", fix) from error
            raise
        if not member:
            raise Missing(f"'{bot}' is no member of '{self._org}', so nobody's rights show", fix)
        return f"'{bot}' is a member of '{self._org}'"

    def webhook(self) -> str:
        poll = self._settings.poll_seconds
        if self._settings.hook_secret is None and not poll:
            fix = "set BRIDGE_HOOK_SECRET_FILE or BRIDGE_POLL_SECONDS"
            raise Missing("there is neither a webhook secret nor polling", fix)
        if self._settings.hook_secret is None:
            return f"none; comments are seen by polling every {poll:g} s"
        addresses = self._gitea.hooks(self._org)
        if addresses is None:
            rest = f"; polling every {poll:g} s does without" if poll else ""
            return f"the organisation's cannot be listed with this token{rest}"
        if not any(address.rstrip("/").endswith("/hook") for address in addresses):
            fix = f"add one to '{self._org}' for comments and pull requests, ending in /hook"
            raise Missing("the organisation has none to a bridge", fix)
        return f"one of {len(addresses)} of the organisation's leads to a bridge"

    def drone(self) -> str:
        fix = "see `docs/bridge.md`: a machine user that is an admin"
        try:
            login, admin = self._drone.me()
        except CallError as error:
            if error.kind == "denied":
                raise Missing("Drone refuses the token", fix) from error
            raise
        if not admin:
            raise Missing(f"Drone's user '{login}' is no admin, so it may not start builds", fix)
        return self._active(login)

    def _active(self, login: str) -> str:
        repo = self._settings.drone_repo
        try:
            active = self._drone.is_active()
        except CallError as error:
            if error.kind == "missing":
                fix = "synchronise Drone with the forge, then activate it"
                raise Missing(f"Drone knows no repository '{repo}'", fix) from error
            raise
        if not active:
            raise Missing(f"'{repo}' is not active in Drone", "activate it in Drone's settings")
        return f"'{repo}' is active, '{login}' may start builds"

    def suite(self, recipe: str) -> str:
        folder = self._settings.recipes_dir / recipe
        if recipe not in guards.recipes(self._settings.recipes_dir):
            raise Missing(f"there is no folder '{folder}'", "make it; docs/enroll.md says more")
        return f"{folder}"

    def repository(self, recipe: str) -> str:
        repo = f"{self._org}/{recipe}"
        try:
            archived = self._gitea.is_archived(repo)
        except CallError as error:
            if error.kind == "missing":
                fix = "make it, or give the bot's team access to it"
                raise Missing(f"the forge shows the bot no '{repo}'", fix) from error
            raise
        if archived:
            raise Missing(f"'{repo}' is archived, so nobody can comment", "unarchive it")
        return f"'{repo}' is readable"

    def may_set_status(self, recipe: str) -> str:
        why = self._gitea.why_no_status(f"{self._org}/{recipe}")
        if why:
            fix = "write:repository for the token, write on code for the bot's team"
            raise Missing(f"the bot may not set a commit's status: {why}", fix)
        return "the bot may set a commit's status"

    def may_comment(self, recipe: str) -> str:
        why = self._gitea.why_no_reaction(f"{self._org}/{recipe}")
        if why:
            raise Missing(f"the bot may not comment: {why}", "write:issue for the token")
        return "the bot may comment and react"
