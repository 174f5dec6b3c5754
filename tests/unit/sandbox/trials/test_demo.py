"""The demo and the benchmark: what their results mean."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from contract.verdicts import Verdict
from sandbox.trials import bench, demo, product, zoo
from sandbox.trials.product import Finished, ProductError, Report

CAUGHT = Report(
    verdict=Verdict.RECIPE,
    reason="answered 200, expected 404",
    stage="functional",
    stages={"functional": "fail", "cleanup": "pass"},
    failures=(),
    seconds=30.0,
    phases={"deploy": 3.0, "backup": 2.5},
)


@dataclass
class Runs:
    """Replaces the runs of the product."""

    exit_codes: dict[str, int] = field(default_factory=dict)
    report: Report = CAUGHT

    def run_in_terminal(self, recipe: str) -> int:
        """Return the exit code of a demo recipe."""
        return self.exit_codes.get(recipe, 0)

    def run_variant(self, variant: zoo.Variant) -> tuple[Finished, Report]:
        """Return the result of a broken recipe."""
        return Finished(self.report.verdict.exit_code, "output of the broken recipe"), self.report

    def run(self, recipe: str, run_id: str) -> Finished:
        """Return the result of a cold run."""
        return Finished(self.exit_codes.get(recipe, 0), "output")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Replace the runs of the product by results in memory."""
    made = Runs()
    monkeypatch.setattr(product, "run_in_terminal", made.run_in_terminal)
    monkeypatch.setattr(product, "run", made.run)
    monkeypatch.setattr(zoo, "run", made.run_variant)
    monkeypatch.setattr(Report, "read", lambda run_dir: made.report)
    return made


def test_two_good_recipes_and_a_caught_one_make_the_demo_succeed(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.demo() == 0
    out = capsys.readouterr().out
    assert "output of the broken recipe" in out
    assert "one broken recipe caught in stage functional: answered 200, expected 404" in out


def test_a_demo_recipe_that_fails_ends_the_demo(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.exit_codes["miniflux"] = 1
    assert demo.demo() == 1
    assert capsys.readouterr().out == "the demo recipe miniflux did not pass\n"


def test_a_broken_recipe_that_passes_fails_the_demo(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.report = Report(Verdict.PASSED, "", "", {}, (), 30.0, {})
    assert demo.demo() == 1
    assert "not caught as expected: verdict passed, expected recipe" in capsys.readouterr().out


def test_the_benchmark_compares_a_cold_run_with_the_baseline(runs: Runs) -> None:
    assert bench.bench(25.0) == [
        "plain Docker 25.0 s, cold run 30.0 s: 1.20 x",
        "  deploy      3.00 s",
        "  backup      2.50 s",
    ]


def test_the_benchmark_of_a_failed_run_means_nothing(runs: Runs) -> None:
    runs.exit_codes["custom-html"] = 1
    with pytest.raises(ProductError, match="custom-html did not pass:\noutput"):
        bench.bench(25.0)
