"""The closed list of verdicts: meaning, colour, exit code and commit state."""

from __future__ import annotations

import pytest

from contract.verdicts import MEANING, Verdict, of_exit_code


@pytest.mark.parametrize(
    ("name", "colour", "code", "state"),
    [
        ("passed", "green", 0, "success"),
        ("recipe", "red", 1, "failure"),
        ("suite", "red", 1, "failure"),
        ("timeout", "grey", 1, "error"),
        ("infra", "grey", 16, "error"),
        ("interrupted", "grey", 2, "error"),
        ("cancelled", "grey", 2, "error"),
    ],
)
def test_the_list_of_verdicts(name: str, colour: str, code: int, state: str) -> None:
    """Only two are red."""
    found = Verdict(name)
    assert (found.colour, found.exit_code, found.commit_state) == (colour, code, state)
    assert found.sentence


def test_there_are_seven_verdicts_with_a_meaning() -> None:
    assert len(Verdict) == len(MEANING) == 7


def test_a_timeout_is_not_counted_against_the_pull_request() -> None:
    assert "not counted against the PR" in Verdict.TIMEOUT.sentence


@pytest.mark.parametrize(
    ("code", "name"),
    [(0, "infra"), (1, "infra"), (2, "interrupted"), (4, "infra"), (5, "suite"), (16, "infra")],
)
def test_an_exit_code_without_a_report_is_never_green_or_the_recipes_fault(
    code: int, name: str
) -> None:
    """A shell that exits with 1 shows nothing about the recipe."""
    assert of_exit_code(code) == name
