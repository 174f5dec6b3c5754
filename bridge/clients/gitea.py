"""Client of the forge. Facts were measured on Gitea 1.26; Forgejo responds alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from bridge.clients.http import CallError, Http, Response
from bridge.model import StatusState

PAGE_SIZE = 50  # the forge's own limit; a request for more gives 50
UNKNOWN_COMMIT, UNKNOWN_COMMENT = "f" * 40, 2**31 - 1  # ids that no repository has
MAX_DESCRIPTION = 140  # characters; the forge accepts any length, its pages do not


class NotAMember(Exception):
    """The bot is not a member of the organisation, so it cannot see who is: an operator has to fix this."""


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment at the forge; `pr` is the number of its pull request, None for a plain issue."""

    id: int
    repo: str
    pr: int | None
    author: str
    body: str
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request; `head` is the full sha of the commit at its head."""

    number: int
    open: bool
    head: str


class Gitea:
    """The forge as the bot sees it.

    Every method raises CallError if the forge gives no usable response. 404 also means "no right to see it".
    """

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"token {token}", "Accept": "application/json"}
        self._http = Http("the forge", f"{url}/api/v1", headers)

    def login(self) -> str:
        """Return the login of the bot."""
        return str(_field(self._http.call("GET", "/user"), "login"))

    def now(self) -> datetime:
        """Return the time of the forge's clock, to the second; this machine's may differ."""
        date = self._http.call("GET", "/version").headers.get("Date", "")
        try:
            return parsedate_to_datetime(date)
        except ValueError as error:
            raise CallError("garbled", f"the forge sent an invalid date: '{date}'") from error

    def comments(self, repo: str, since: datetime) -> Iterator[Comment]:
        """Yield all comments of a repository that were created or edited since a time, oldest first."""
        page, seen = 1, 0
        while True:
            params = {"since": _utc(since), "limit": str(PAGE_SIZE), "page": str(page)}
            response = self._http.call("GET", f"/repos/{repo}/issues/comments", params=params)
            rows = _rows(response)
            yield from (comment for row in rows if (comment := _comment(repo, row)) is not None)
            seen += len(rows)
            total = response.headers.get("X-Total-Count", "")
            if not rows or (total.isdigit() and seen >= int(total)):
                return
            page += 1

    def comment(self, repo: str, comment: int) -> Comment | None:
        """Return one comment, None if the response is not a comment."""
        body = self._http.call("GET", f"/repos/{repo}/issues/comments/{comment}").body
        return _comment(repo, body) if isinstance(body, dict) else None

    def comments_on(self, repo: str, pr: int) -> list[Comment]:
        """Return all comments on one pull request, oldest first; the forge sends them without pages."""
        rows = _rows(self._http.call("GET", f"/repos/{repo}/issues/{pr}/comments"))
        return [comment for row in rows if (comment := _comment(repo, row)) is not None]

    def post(self, repo: str, pr: int, body: str) -> int:
        """Post a comment; return its id."""
        path = f"/repos/{repo}/issues/{pr}/comments"
        return int(_field(self._http.call("POST", path, body={"body": body}), "id"))

    def edit(self, repo: str, comment: int, body: str) -> None:
        """Replace the text of one of the bot's own comments."""
        self._http.call("PATCH", f"/repos/{repo}/issues/comments/{comment}", body={"body": body})

    def react(self, repo: str, comment: int, content: str) -> None:
        """Add a reaction such as `eyes`; a second time changes nothing."""
        path = f"/repos/{repo}/issues/comments/{comment}/reactions"
        self._http.call("POST", path, body={"content": content})

    def pull(self, repo: str, pr: int) -> Pull:
        """Return a pull request. If its fork was deleted, it is closed and keeps its head."""
        response = self._http.call("GET", f"/repos/{repo}/pulls/{pr}")
        head = _field(response, "head")
        sha = str(head.get("sha", "")) if isinstance(head, dict) else ""
        return Pull(pr, _field(response, "state") == "open", sha)

    def set_status(
        self, repo: str, sha: str, *, state: StatusState, context: str, description: str, link: str
    ) -> None:
        """Set a commit status; the latest one of a context counts."""
        body = {
            "state": state,
            "context": context,
            "description": description[:MAX_DESCRIPTION],
            "target_url": link,
        }
        self._http.call("POST", f"/repos/{repo}/statuses/{sha}", body=body)

    def is_member(self, org: str, user: str) -> bool:
        """Return True if a user is a member of an organisation, publicly or not.

        A forge that responds 404 to everything must not turn members into non-members (incident L12). So a
        404 counts only from a forge that knows the organisation.

        Raises:
            CallError: the forge did not answer, or does not know the organisation.
            NotAMember: the bot itself is not a member; the forge then responds 303 for every user.
        """
        path = f"/orgs/{org}/members/{quote(user, safe='')}"
        status = self._http.call("GET", path, ok=frozenset({204, 303, 404})).status
        if status == 303:
            raise NotAMember(org)
        if status == 404:
            self._http.call("GET", f"/orgs/{org}")
        return status == 204

    # -- what the bot may do, for `--check`

    def hooks(self, org: str) -> list[str] | None:
        """Return the URLs of an organisation's active webhooks, None if the bot may not list them."""
        try:
            rows = _rows(self._http.call("GET", f"/orgs/{org}/hooks"))
        except CallError as error:
            if error.kind in ("denied", "missing"):
                return None
            raise
        return [str(row["config"]["url"]) for row in rows if row.get("active")]

    def is_archived(self, repo: str) -> bool:
        """Return True if a repository is archived; nobody can comment in it."""
        return bool(_field(self._http.call("GET", f"/repos/{repo}"), "archived"))

    def why_no_status(self, repo: str) -> str:
        """Return why the bot may not set commit statuses, "" if it may. This sets none."""
        body = {"state": "pending", "context": "cc-ci/check"}
        return self._refusal("POST", f"/repos/{repo}/statuses/{UNKNOWN_COMMIT}", body)

    def why_no_reaction(self, repo: str) -> str:
        """Return why the bot may not react to comments, "" if it may. This reacts to none."""
        path = f"/repos/{repo}/issues/comments/{UNKNOWN_COMMENT}/reactions"
        return self._refusal("POST", path, {"content": "eyes"})

    def _refusal(self, method: str, path: str, body: object) -> str:
        """Return how the forge denies a request; that the object does not exist is not a denial."""
        try:
            self._http.call(method, path, body=body)
        except CallError as error:
            if error.kind == "denied":
                return str(error).partition(": ")[2]
            if error.transient and error.status != 500:  # 500: it did not find the object
                raise
        return ""


def _comment(repo: str, row: Any) -> Comment | None:
    """Return a comment from the forge's JSON, None if that is invalid."""
    try:
        pull = str(row["pull_request_url"] or "")
        return Comment(
            id=int(row["id"]),
            repo=repo,
            pr=int(pull.rstrip("/").rpartition("/")[2]) if pull else None,
            author=str(row["user"]["login"]),
            body=str(row["body"]),
            created=_time(row["created_at"]),
            updated=_time(row["updated_at"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _rows(response: Response) -> list[Any]:
    """Return a list; the forge sends null for some empty lists."""
    if response.body is None:
        return []
    if not isinstance(response.body, list):
        raise CallError("garbled", "the forge's response is not a list")
    return response.body


def _field(response: Response, key: str) -> Any:
    if not isinstance(response.body, dict) or key not in response.body:
        raise CallError("garbled", f"the forge's response lacks '{key}'")
    return response.body[key]


def _time(text: object) -> datetime:
    return datetime.fromisoformat(str(text)).astimezone(UTC)


def _utc(time: datetime) -> str:
    """Return a time as the forge accepts it; the "+" of an offset would reach it as a blank."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
