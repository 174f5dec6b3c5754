"""What the bridge asks of the forge. Facts were measured on Gitea 1.26; Forgejo answers alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import quote

from bridge.clients.http import Answer, CallError, Http

State = Literal["pending", "success", "failure", "error"]
PAGE = 50  # the forge's own cap; asking for more gives 50
NO_COMMIT, NO_COMMENT = "f" * 40, 2**31 - 1  # what no repository has
LONGEST_DESCRIPTION = 140  # characters; the forge takes any length, its pages do not


class NotAMember(Exception):
    """The bot is no member of the organisation, so it cannot be asked who is: the operator's error."""


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment as the forge has it. pr: number of its pull request, None on a plain issue."""

    id: int
    repo: str
    pr: int | None
    person: str
    body: str
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request. head: full commit sha of its head."""

    number: int
    open: bool
    head: str


class Gitea:
    """The forge, seen as the bot.

    Every method raises CallError where the forge gives no usable answer; 404 also means "no right to see".
    """

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"token {token}", "Accept": "application/json"}
        self._http = Http("the forge", f"{url}/api/v1", headers)

    def me(self) -> str:
        """Return the bot's own login."""
        return str(_field(self._http.call("GET", "/user"), "login"))

    def now(self) -> datetime:
        """Return the forge's own time, to the second; ours may differ."""
        date = self._http.call("GET", "/version").headers.get("Date", "")
        try:
            return parsedate_to_datetime(date)
        except ValueError as error:
            raise CallError("garbled", f"the forge gave no time: '{date}'") from error

    def comments(self, repo: str, since: datetime) -> Iterator[Comment]:
        """Yield all comments of a repository that were made or changed since a moment, oldest first."""
        page, seen = 1, 0
        while True:
            params = {"since": _utc(since), "limit": str(PAGE), "page": str(page)}
            answer = self._http.call("GET", f"/repos/{repo}/issues/comments", params=params)
            rows = _rows(answer)
            yield from (comment for row in rows if (comment := _comment(repo, row)) is not None)
            seen += len(rows)
            total = answer.headers.get("X-Total-Count", "")
            if not rows or (total.isdigit() and seen >= int(total)):
                return
            page += 1

    def comment(self, repo: str, comment: int) -> Comment | None:
        """Return one comment, None where it is no comment."""
        body = self._http.call("GET", f"/repos/{repo}/issues/comments/{comment}").body
        return _comment(repo, body) if isinstance(body, dict) else None

    def comments_on(self, repo: str, pr: int) -> list[Comment]:
        """Return all comments on one pull request, oldest first; the forge does not page them."""
        rows = _rows(self._http.call("GET", f"/repos/{repo}/issues/{pr}/comments"))
        return [comment for row in rows if (comment := _comment(repo, row)) is not None]

    def post(self, repo: str, pr: int, body: str) -> int:
        """Write a comment; return its id."""
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
        """Return a pull request; where its fork is gone it is closed and its head stays."""
        answer = self._http.call("GET", f"/repos/{repo}/pulls/{pr}")
        head = _field(answer, "head")
        sha = str(head.get("sha", "")) if isinstance(head, dict) else ""
        return Pull(pr, _field(answer, "state") == "open", sha)

    def set_status(
        self, repo: str, sha: str, *, state: State, context: str, description: str, link: str
    ) -> None:
        """Set a commit's status; the newest of a context is the one that counts."""
        body = {
            "state": state,
            "context": context,
            "description": description[:LONGEST_DESCRIPTION],
            "target_url": link,
        }
        self._http.call("POST", f"/repos/{repo}/statuses/{sha}", body=body)

    def is_member(self, org: str, person: str) -> bool:
        """Say whether a person is a member of an organisation, a private member too.

        A forge that answers 404 to everything must not turn members into strangers (incident L12), so a
        "no" counts only from one that knows the organisation.

        Raises:
            CallError: the forge gave no answer, or does not know the organisation.
            NotAMember: the bot itself is none; the forge then answers 303 for everybody.
        """
        path = f"/orgs/{org}/members/{quote(person, safe='')}"
        status = self._http.call("GET", path, ok=frozenset({204, 303, 404})).status
        if status == 303:
            raise NotAMember(org)
        if status == 404:
            self._http.call("GET", f"/orgs/{org}")
        return status == 204

    # -- what the bot may do, for a check

    def hooks(self, org: str) -> list[str] | None:
        """Return where an organisation's active webhooks lead; None where the bot may not see them."""
        try:
            rows = _rows(self._http.call("GET", f"/orgs/{org}/hooks"))
        except CallError as error:
            if error.kind in ("denied", "missing"):
                return None
            raise
        return [str(row["config"]["url"]) for row in rows if row.get("active")]

    def is_archived(self, repo: str) -> bool:
        """Say whether a repository is archived, in which nobody can comment."""
        return bool(_field(self._http.call("GET", f"/repos/{repo}"), "archived"))

    def why_no_status(self, repo: str) -> str:
        """Return why the bot may not set a commit's status, "" if it may; none is set."""
        body = {"state": "pending", "context": "cc-ci/check"}
        return self._refusal("POST", f"/repos/{repo}/statuses/{NO_COMMIT}", body)

    def why_no_reaction(self, repo: str) -> str:
        """Return why the bot may not react to a comment, "" if it may; nothing is reacted to."""
        body = {"content": "eyes"}
        return self._refusal("POST", f"/repos/{repo}/issues/comments/{NO_COMMENT}/reactions", body)

    def _refusal(self, method: str, path: str, body: object) -> str:
        """Return how the forge refuses a call; that the thing itself is not there is no refusal."""
        try:
            self._http.call(method, path, body=body)
        except CallError as error:
            if error.kind == "denied":
                return str(error).partition("answered ")[2]
            if error.transient and error.status != 500:  # 500: it looked for what is not there
                raise
        return ""


def _comment(repo: str, row: Any) -> Comment | None:
    """Return a comment of the forge's JSON, None for one that is not of the expected shape."""
    try:
        pull = str(row["pull_request_url"] or "")
        return Comment(
            id=int(row["id"]),
            repo=repo,
            pr=int(pull.rstrip("/").rpartition("/")[2]) if pull else None,
            person=str(row["user"]["login"]),
            body=str(row["body"]),
            created=_time(row["created_at"]),
            updated=_time(row["updated_at"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _rows(answer: Answer) -> list[Any]:
    """Return a list; the forge says null for an empty one in places."""
    if answer.body is None:
        return []
    if not isinstance(answer.body, list):
        raise CallError("garbled", "the forge answered no list where one was expected")
    return answer.body


def _field(answer: Answer, key: str) -> Any:
    if not isinstance(answer.body, dict) or key not in answer.body:
        raise CallError("garbled", f"the forge's answer lacks '{key}'")
    return answer.body[key]


def _time(text: object) -> datetime:
    return datetime.fromisoformat(str(text)).astimezone(UTC)


def _utc(moment: datetime) -> str:
    """Return a moment as the forge takes it; an offset with a plus would reach it as a blank."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
