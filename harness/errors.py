"""The errors of the harness; each has a fault, which decides the verdict of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

Fault = Literal["recipe", "suite", "timeout", "infra", "interrupted", "cancelled", "usage"]


class CcCiError(Exception):
    """Base class: the message says what was being done, what happened, and what to try.

    Attributes:
        fault: whose fault it is; decides the verdict if the error ends a run.
    """

    fault: ClassVar[Fault] = "infra"

    def add_log(self, service: str, lines: Sequence[str]) -> None:
        """Append the last log lines of a service to the message; without lines it stays as it is."""
        if lines:
            self.args = ("\n  ".join([f"{self}", f"last log lines of '{service}':", *lines]),)


class UsageError(CcCiError):
    """The request is invalid; nothing was deployed."""

    fault = "usage"


class SettingError(UsageError):
    """A setting is invalid; the message names its key, and file and line if there are any."""


class CommandFailed(CcCiError):
    """An external command exited with an unexpected exit code."""


class InfraError(CcCiError):
    """An infrastructure problem: Docker, disk, forge, image registry or this harness."""


class RecipeFailure(CcCiError):
    """The recipe does not work; this makes a pull request red."""

    fault = "recipe"


class SuiteFailure(CcCiError):
    """The recipe's suite is broken or proves nothing."""

    fault = "suite"


class TimedOut(CcCiError):
    """A wait timed out; the message says what was waited for and what was seen last."""

    fault = "timeout"


class BaseNotDeployable(CcCiError):
    """The published version does not deploy, so the upgrade from it cannot be tested."""

    fault = "infra"
