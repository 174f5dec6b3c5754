"""Passes that nothing proves: stale deployments, superficial tests, cases that never ran."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from contract.verdicts import Verdict
from harness import plan
from harness.errors import RecipeFailure
from harness.reporting.events import Event
from harness.settings import CHECKOUT
from harness.suites.app import App
from sandbox.trials import zoo
from tests.adversarial.swarm_session import FOUND, run_suite
from tests.support.event_factory import case, finished, judge, started

ANY_PAGE = '''"""custom-html, with a test that any page passes."""
import pytest
from harness import App, check

@check
def some_file_is_there(app: App) -> None:
    assert app.read("app", "/usr/share/nginx/html/index.html")

@pytest.mark.functional
def test_any_page_will_do(app: App) -> None:
    answer = app.session().get(f"https://{app.domain}/", timeout=2)
    assert answer.status_code in (200, 404, 502, 503)

@pytest.mark.functional
def test_the_page_is_nginx_s(app: App) -> None:
    assert "nginx" in app.get("/").headers["Server"]
'''


@pytest.mark.swarm
def test_a_test_that_accepts_the_proxys_own_page_is_superficial(tmp_path: Path) -> None:
    """Against the stopped app the proxy answers itself."""
    run = run_suite(tmp_path, "custom-html", ANY_PAGE, "--stages", "functional")
    found = run.report
    assert (run.exit_code, found.verdict) == (1, Verdict.SUITE), run.out
    assert {case.id for case in found.failed} == {
        "test_any_page_will_do",
        "test_any_page_will_do[while-stopped]",
    }
    assert found.phases["stop"] + found.phases["control"] < 5.0


@pytest.mark.swarm
def test_the_proxys_default_certificate_is_refused() -> None:
    """Traefik sends it for a name without a certificate of its own."""
    domain = "nobody.elsewhere.test"
    app = App(domain=domain, stack="none", recipe="none", life="fresh", settings=FOUND)
    with pytest.raises(RecipeFailure, match=r"(?i)certificate"):
        app.get("/", status=404)


BASE_AGAIN = """#!/bin/sh
# abra, but every deployment takes the published version, not what is checked out.
case "$*" in *"app deploy"*) git -C "$ABRA_DIR/recipes/custom-html" checkout --quiet 1.1.0+1.22.1 ;; esac
exec {abra} "$@"
"""


@pytest.mark.swarm
def test_a_head_that_was_never_deployed_is_not_green(tmp_path: Path) -> None:
    """An upgrade that deploys the published version again is detected by the commit in the label."""
    abra = tmp_path / "abra"
    abra.write_text(BASE_AGAIN.format(abra=shutil.which(FOUND.abra)))
    abra.chmod(0o755)
    suite = (CHECKOUT / "recipes_tests" / "custom-html" / "test_custom_html.py").read_text()
    run = run_suite(tmp_path, "custom-html", suite, "--stages", "upgrade", CCCI_ABRA=str(abra))
    found = run.report
    assert (run.exit_code, found.verdict, found.stage) == (1, Verdict.RECIPE, "upgrade"), run.out
    assert "the head was never deployed" in found.reason


@pytest.mark.parametrize(
    ("what", "variant"),
    [
        ("the proxy's own page", "proxy-404"),
        ("an old task that still answers", "old-task"),
        ("an update rolled back, with its old labels", "rollback"),
        ("a new version that changes nothing", "no-change"),
        ("a snapshot without the dump", "backup-hook-fails"),
        ("a restore of nothing", "restore-nothing"),
    ],
)
def test_a_broken_recipe_covers_each_unproven_pass(what: str, variant: str) -> None:
    """These recipes run on a real Swarm with `make zoo`, where each must be red."""
    (found,) = zoo.variants([variant])
    assert Verdict(found.verdict).colour == "red" and found.stage in plan.STAGES, what


@pytest.mark.parametrize("missing", ["kept[after-restore]", "kept[while-stopped]", "test_works"])
def test_a_planned_case_that_never_ran_is_not_green(missing: str) -> None:
    """Also in a stage that has other cases."""
    planned = ["kept[after-restore]", "kept[while-stopped]", "test_works"]
    made = {
        "kept[after-restore]": case("restore", id="kept[after-restore]"),
        "kept[while-stopped]": Event(1.0, "control", {"id": planned[1], "outcome": "held"}),
        "test_works": case("functional", id="test_works"),
    }
    whole = [
        started(planned=planned),
        *(case(name) for name in plan.STAGES),
        *made.values(),
        finished(),
    ]
    assert judge(whole).verdict is Verdict.PASSED
    found = judge([event for event in whole if event is not made[missing]])
    assert (
        found.verdict is Verdict.INFRA and f"{missing} was planned but not reached" in found.reason
    )
