"""`recipes_tests/trusted.yml`: which recipes may run the tests in their own repository."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, RootModel

from harness.suites import strict_yaml
from harness.suites.strict_yaml import Where, near

FILE = "trusted.yml"
FOLDER = "tests"  # in a recipe's repository
PATTERN = "test_*.py"
NOT_TRUSTED = (
    f"the recipe's own tests ({FOLDER}/{PATTERN}) were not run: not trusted; "
    f"see recipes_tests/{FILE}"
)


class Trust(BaseModel):
    """The trust in one recipe's own tests."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    timeout: Annotated[int, Field(ge=1, le=1800)] = Field(
        default=300, description="seconds for all of the recipe's own tests together"
    )


class _File(RootModel[dict[str, Trust]]):
    model_config = ConfigDict(strict=True, frozen=True)


def load(suites: Path, enrolled: Collection[str]) -> Mapping[str, Trust]:
    """Return the trusted recipes; without the file there are none.

    Args:
        suites: the folder of all suites.
        enrolled: the recipes that have a suite.

    Raises:
        SettingError: names file, line and key, and what was probably meant.
    """
    document = strict_yaml.read(suites / FILE)
    found = strict_yaml.checked(document, _File, _known).root
    for recipe in found:
        if recipe not in enrolled:
            why = f"recipe '{recipe}' is not enrolled{near(recipe, sorted(enrolled))}"
            raise document.error((recipe,), why)
    return found


def _known(where: Where) -> list[str]:
    return list(Trust.model_fields)


def tests_of(checkout: Path) -> Path | None:
    """Return the folder of a recipe's own tests, None if a checkout has none."""
    folder = checkout / FOLDER
    if folder.is_symlink() or not any(folder.rglob(PATTERN)):
        return None
    return folder
