"""Who may ask for what: the guards, in their order. A refusal tells the person why, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bridge.answers import messages
from bridge.clients.gitea import Comment, Gitea, Pull
from bridge.store import Spoken
from contract import enrolled


class Refused(Exception):
    """A command that is not followed. reason: one word for counting; text: for the person, "" for silence."""

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.text = text


def is_fresh(comment: Comment, enrolled: datetime) -> bool:
    """Say whether a comment was just made: not edited since, and not older than the enrolment."""
    return comment.updated <= comment.created and comment.created >= enrolled


def recipes(folder: Path) -> frozenset[str]:
    """Return the enrolled recipes: the folders beside the generic stages."""
    return enrolled.recipes(folder)


@dataclass(frozen=True, slots=True)
class Guards:
    """The rules of one organisation. bot: our own login. enrolled: asks which recipes are."""

    org: str
    bot: str
    allowed: frozenset[str]
    ignored: frozenset[str]
    enrolled: Callable[[], frozenset[str]] = field(default=frozenset)

    def is_ours(self, person: str) -> bool:
        """Say whether a comment is the bot's own or another bot's."""
        return person.lower() in {name.lower() for name in (self.bot, *self.ignored)}

    def check(self, gitea: Gitea, spoken: Spoken) -> Pull:
        """Return the pull request as it is now if the command may be followed.

        Raises:
            Refused: it may not.
            CallError, NotAMember: it cannot be told now.
        """
        pull = self._open_pull(gitea, spoken)
        if self.is_ours(spoken.person):
            raise Refused("bot")
        if not self._may(gitea, spoken.person):
            raise Refused("stranger", messages.stranger(self.org))
        recipe = spoken.repo.partition("/")[2]
        if recipe not in self.enrolled():
            raise Refused("not-enrolled", messages.NOT_ENROLLED)
        return pull

    def _open_pull(self, gitea: Gitea, spoken: Spoken) -> Pull:
        pull = gitea.pull(spoken.repo, spoken.pr)
        if not pull.open:
            raise Refused("closed")
        return pull

    def _may(self, gitea: Gitea, person: str) -> bool:
        if person.lower() in {name.lower() for name in self.allowed}:
            return True
        return gitea.is_member(self.org, person)
