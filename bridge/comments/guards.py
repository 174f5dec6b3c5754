"""Rules on who may request what, in the order in which they are checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bridge.answers import messages
from bridge.clients.gitea import Comment, Gitea, Pull
from bridge.model import CommandComment


class Refused(Exception):
    """A command that is refused.

    Attributes:
        reason: a word for the metrics and the database, so it is never renamed.
        text: the reply, "" for none.
    """

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.text = text


def is_fresh(comment: Comment, enrolled: datetime) -> bool:
    """Return True if a comment was never edited and is not older than the enrolment."""
    return comment.updated <= comment.created and comment.created >= enrolled


@dataclass(frozen=True, slots=True)
class Guards:
    """The rules of one organisation.

    Attributes:
        org: organisation at the forge.
        bot: login of the bot.
        allowed: users who may start runs although they are not members.
        ignored: logins of other bots.
        enrolled: returns the enrolled recipes.
    """

    org: str
    bot: str
    allowed: frozenset[str]
    ignored: frozenset[str]
    enrolled: Callable[[], frozenset[str]] = field(default=frozenset)

    def is_bot(self, user: str) -> bool:
        """Return True for the bot itself and for other bots."""
        return user.lower() in {name.lower() for name in (self.bot, *self.ignored)}

    def check(self, gitea: Gitea, comment: CommandComment) -> Pull:
        """Return the pull request in its current state if the command is allowed.

        Raises:
            Refused: it is not allowed.
            CallError, NotAMember: this cannot be decided now.
        """
        pull = gitea.pull(comment.repo, comment.pr)
        if not pull.open:
            raise Refused("closed")
        if self.is_bot(comment.author):
            raise Refused("bot")
        if not self._is_allowed(gitea, comment.author):
            raise Refused("stranger", messages.non_member(self.org))
        recipe = comment.repo.partition("/")[2]
        if recipe not in self.enrolled():
            raise Refused("not-enrolled", messages.not_enrolled(recipe))
        return pull

    def _is_allowed(self, gitea: Gitea, user: str) -> bool:
        if user.lower() in {name.lower() for name in self.allowed}:
            return True
        return gitea.is_member(self.org, user)
