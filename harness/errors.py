"""Every error of the harness, each saying whose fault it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

Fault = Literal["recipe", "suite", "timeout", "infra", "interrupted", "cancelled", "usage"]


class CcCiError(Exception):
    """Something a person has to read: what we were doing, what we saw, what to try.

    `fault` decides the verdict when the error ends a run.
    """

    fault: ClassVar[Fault] = "infra"

    def add_log(self, service: str, lines: Sequence[str]) -> None:
        """Append the last log lines of a service to the message; without lines it stays as it is."""
        if lines:
            self.args = ("\n  ".join([f"{self}", f"last log lines of '{service}':", *lines]),)


class UsageError(CcCiError):
    """What was asked for cannot be done as asked; nothing was deployed."""

    fault = "usage"


class SettingError(UsageError):
    """A setting is wrong; the message names file, key and, where there is one, line."""


class CommandFailed(CcCiError):
    """An outside command ended with a status that its caller did not expect."""


class InfraError(CcCiError):
    """Our own trouble: Docker, disk, forge, image registry, this harness."""


class RecipeFailure(CcCiError):
    """The recipe did not do what it must; this is what turns a pull request red."""

    fault = "recipe"


class SuiteFailure(CcCiError):
    """The recipe's suite is broken or proves nothing."""

    fault = "suite"


class TimedOut(CcCiError):
    """A wait reached its bound; the message says what was waited for and what was seen last."""

    fault = "timeout"


class BaseNotDeployable(CcCiError):
    """The published version does not deploy, so the upgrade from it cannot be judged."""

    fault = "infra"
