"""Says at the forge what is to be said: reactions, short answers, commit statuses, the living comment.

What is to be said stands in the store; whatever ends the bridge, the next one says the rest. What cannot
be said twice unseen, a comment, carries an invisible mark by which it is found again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial

from bridge import metrics
from bridge.answers import sticky_comment
from bridge.answers.sticky_comment import Links
from bridge.builds.verdict import Verdict
from bridge.clients.gitea import Gitea, State
from bridge.clients.http import Backoff, CallError
from bridge.store import Answer, Lane, Run, Store

CONTEXTS: dict[Lane, str] = {"cold": "cc-ci/testme", "quick": "cc-ci/testme-quick"}
EDIT_PAUSE = 2.0  # seconds between two edits of a comment while a run goes on
UNSURE = frozenset({404, 500})  # no proof of absence (incident L12); said of an unknown commit too
UNSURE_TRIES = 25  # until such an answer is believed; half an hour with back-off
TOLD = "told"
log = logging.getLogger("bridge.answers.publisher")


@dataclass
class Publisher:
    """Brings the forge to what the store says. bot: our own login."""

    gitea: Gitea
    store: Store
    links: Links
    bot: str
    _due: dict[Hashable, float] = field(default_factory=dict)
    _backoff: dict[Hashable, Backoff] = field(default_factory=dict)
    _edited: dict[tuple[str, int, str], float] = field(default_factory=dict)
    _tried: set[Hashable] = field(default_factory=set)

    def step(self) -> float:
        """Say whatever is due; return the seconds until something is due again."""
        store, runs = self.store, self.store.unpublished()
        self._tried = set()
        for reaction in store.reactions():
            gone = partial(store.reacted, reaction[0])
            self._try(("reaction", reaction[0]), partial(self._react, *reaction), gone)
        for run in runs:
            self._try(("status", run.id), partial(self._status, run), partial(self._skip, run))
        for run in runs:
            self._try(("comment", run.id), partial(self._comment, run.id), partial(self._end, run))
        for answer in store.answers():
            said = partial(store.said, answer)
            self._try(("answer", answer.comment), partial(self._answer, answer), said)
        self._due = {key: at for key, at in self._due.items() if key in self._tried}
        return max(0.0, min(self._due.values(), default=float("inf")) - time.monotonic())

    def _try(self, key: Hashable, say: Callable[[], None], give_up: Callable[[], None]) -> None:
        """Say one thing unless it is to wait; where the forge will never take it, give it up."""
        self._tried.add(key)
        if self._due.get(key, 0.0) > time.monotonic():
            return
        self._due.pop(key, None)
        try:
            say()
        except CallError as error:
            backoff = self._backoff.setdefault(key, Backoff())
            pause = backoff.failed(error)
            hopeless = not error.transient and error.kind not in ("denied", "missing")
            if hopeless or (error.status in UNSURE and backoff.failures >= UNSURE_TRIES):
                log.error("given up: %s", error)
                self._backoff.pop(key)
                give_up()
                return
            log.warning("%s; again in %.0f s", error, pause)
            self._due[key] = time.monotonic() + pause
        else:
            self._backoff.pop(key, None)

    # -- reactions and answers

    def _react(self, number: int, repo: str, content: str) -> None:
        self.gitea.react(repo, number, content)
        self.store.reacted(number)

    def _answer(self, answer: Answer) -> None:
        mark = sticky_comment.answer_marker(answer.comment)
        there = self._find(answer.repo, answer.pr, mark) if answer.tried else None
        if there is None:
            self.store.trying(answer)
            self.gitea.post(answer.repo, answer.pr, f"{mark}\n{answer.body}\n")
        self.store.said(answer)

    def _find(self, repo: str, pr: int, mark: str) -> int | None:
        """Return the bot's own comment that begins with a mark, None where there is none."""
        for found in self.gitea.comments_on(repo, pr):
            if found.person.lower() == self.bot.lower() and found.body.startswith(mark):
                return found.id
        return None

    # -- commit statuses

    def _status(self, run: Run) -> None:
        """Set the commit's status if it is another than the last one."""
        state, words = self._wanted(run)
        wanted = f"{state}: {words}"
        if run.status in (wanted, TOLD) or self._is_overtaken(run):
            return
        link = self.links.build(run) or self.links.builds
        context = CONTEXTS[run.lane]
        self.gitea.set_status(
            run.repo, run.sha, state=state, context=context, description=words, link=link
        )
        if not run.status:
            metrics.ACKNOWLEDGED.observe(max(0.0, time.time() - run.accepted))
        self.store.change(run, status=wanted)

    @staticmethod
    def _wanted(run: Run) -> tuple[State, str]:
        words = sticky_comment.state_words(run)
        return (Verdict.of(run.verdict).state if run.state == "done" else "pending"), words

    def _is_overtaken(self, run: Run) -> bool:
        """Say whether a newer run speaks for the same commit in the same context."""
        newer = self.store.history(run.repo, run.pr, run.lane)
        return any(other.id > run.id and other.sha == run.sha for other in newer)

    def _skip(self, run: Run) -> None:
        """Go on without a status: the bot may lack the right to write code; the comment says it all."""
        state, words = self._wanted(run)
        self.store.change(run, status=f"{state}: {words}")

    # -- the living comment

    def _comment(self, number: int) -> None:
        """Bring the comment to the newest run of the pull request; then a finished run is told."""
        run = self.store.run(number)
        newest, *earlier = self.store.history(run.repo, run.pr, run.lane)
        if newest.id == run.id and not self._say(run, earlier):
            return
        state, words = self._wanted(run)
        if run.state == "done" and (run.status == f"{state}: {words}" or self._is_overtaken(run)):
            self._end(run)

    def _say(self, run: Run, earlier: list[Run]) -> bool:
        """Post or edit the comment; say whether it now stands as it should."""
        place = (run.repo, run.pr, run.lane)
        body = sticky_comment.render(run, earlier, self.links)
        living = self.store.living(*place)
        if living is not None and living[1] == body:
            return True
        wait = self._edited.get(place, 0.0) + EDIT_PAUSE - time.monotonic()
        if living is not None and run.active and wait > 0:
            self._due["comment", run.id] = time.monotonic() + wait
            return False
        number = (
            living[0] if living else self._find(run.repo, run.pr, sticky_comment.marker(run.lane))
        )
        if number is None:
            number = self.gitea.post(run.repo, run.pr, body)
        else:
            self._edit(run, number, body)
        self.store.lives(*place, number, body)
        self._edited[place] = time.monotonic()
        return True

    def _edit(self, run: Run, number: int, body: str) -> None:
        try:
            self.gitea.edit(run.repo, number, body)
        except CallError as error:
            if (
                error.kind == "missing"
            ):  # somebody deleted it: a new one is posted with the next try
                self.store.died(run.repo, run.pr, run.lane)
                raise CallError("server", f"{error}; a new comment is made") from error
            raise

    def _end(self, run: Run) -> None:
        """Note that the forge has heard everything of a run, if it has ended."""
        if run.state == "done":
            self.store.change(run, status=TOLD)
