"""Misbehaving applications: the right verdict at the right stage, in bounded time and memory."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.figures import Part, trial
from tests.support.run_process import RunProcess
from tests.support.tiny_recipe import SERVE, TinyRecipe

pytestmark = [pytest.mark.swarm, pytest.mark.faults]
PART = Part.APPS
MAX_MEMORY = 400.0  # MiB of the pytest process: it needs 70 by itself, a response may have 64
INSTALL = ("--stages", "install")
FUNCTIONAL = ("--stages", "functional")
ONE_TEST = """
import pytest
from harness import App

@pytest.mark.functional
def test_it(app: App) -> None:
    {body}
"""


class Try(Protocol):
    """Runs the recipe once; upper-case arguments go into the environment.

    The trial fails if something is left, if the run used too much memory, or if a phase (the whole run if it
    is empty) took longer than the bound in seconds.
    """

    def __call__(
        self, what: str, *options: str, phase: str = "", bound: float = 0.0, **env: str
    ) -> RunProcess: ...


@pytest.fixture
def run_trial(tiny: TinyRecipe) -> Try:
    """Run the recipe and record it as a trial."""

    def run_once(
        what: str, *options: str, phase: str = "", bound: float = 0.0, **env: str
    ) -> RunProcess:
        with trial(PART, what, bound=bound) as result:
            run = tiny.run(*options, env={**os.environ, **env})
            found = run.report
            result.seconds.append(found.phases.get(phase, 0.0) if phase else found.seconds)
            if bound:
                result.in_time()
            result.note = (
                f"time of {phase or 'the whole run'}; memory at most {run.peak_memory:.0f} MiB"
            )
            result.none_lost(tiny.leftovers())
            assert run.peak_memory < MAX_MEMORY, run.out
        return run

    return run_once


def verdict_and_stage(run: RunProcess) -> tuple[int, str, str]:
    """Return exit code, verdict and the stage that decided it."""
    found = run.report
    return run.exit_code, found.verdict.value, found.stage


RED = (1, "recipe", "install")


def test_a_crash_loop_is_found_within_thirty_seconds(tiny: TinyRecipe, run_trial: Try) -> None:
    """Swarm pauses five seconds between restarts. The message has the end of the app's log."""
    tiny.commit("echo my last words; exit 3")
    run = run_trial("crash loop", *INSTALL, phase="deploy", bound=30)
    assert verdict_and_stage(run) == RED
    assert "crash loop" in run.failure_text and "my last words" in run.failure_text


def test_an_app_that_ignores_sigterm_is_removed_in_time(tiny: TinyRecipe, run_trial: Try) -> None:
    """It also has a stop_grace_period of five minutes, for which teardown does not wait."""
    tiny.commit(
        "trap '' TERM QUIT INT; nginx; while :; do sleep 1; done",
        app="    stop_grace_period: 5m",
    )
    run = run_trial("ignores SIGTERM, five minutes to stop", *INSTALL, phase="teardown", bound=20)
    assert verdict_and_stage(run) == (0, "passed", "")


def test_an_app_that_never_gets_healthy_fails_the_install(tiny: TinyRecipe, run_trial: Try) -> None:
    check = "    healthcheck: {test: [CMD, 'false'], interval: 1s, timeout: 1s, retries: 2}"
    tiny.commit(app=check)
    run = run_trial("never healthy", *INSTALL, phase="deploy", bound=60)
    assert verdict_and_stage(run) == RED
    assert "its health check fails, or it stops by itself" in run.failure_text


ONE_SHOT = """\
  once:
    image: ccci/base:bookworm
    command: COMMAND
CHECK
    deploy:
      restart_policy:
        condition: CONDITION
"""


def one_shot(command: str, condition: str, check: str = "") -> str:
    """Return another service that is started once."""
    text = ONE_SHOT.replace("COMMAND", command).replace("CONDITION", condition)
    return text.replace("CHECK", check)


@pytest.mark.parametrize("condition", ["none", "on-failure"])
def test_a_one_shot_service_that_succeeds_is_accepted(
    tiny: TinyRecipe, run_trial: Try, condition: str
) -> None:
    tiny.commit(more=one_shot("['true']", condition))
    run = run_trial("one-shot service", *INSTALL, phase="deploy", bound=30)
    assert verdict_and_stage(run) == (0, "passed", "")


def test_a_one_shot_service_that_fails_is_reported_immediately(
    tiny: TinyRecipe, run_trial: Try
) -> None:
    """Swarm does not restart it, so waiting would not help."""
    tiny.commit(more=one_shot("['sh', '-c', 'echo no database; exit 4']", "none"))
    run = run_trial("one-shot service that fails", *INSTALL, phase="deploy", bound=30)
    assert verdict_and_stage(run) == RED
    assert "service 'once' has exited" in run.failure_text and "no database" in run.failure_text


def test_a_service_with_a_health_check_may_not_exit(tiny: TinyRecipe, run_trial: Try) -> None:
    """A service with a health check is meant to keep running, so exit code 0 is a failure too."""
    check = "    healthcheck: {test: [CMD, 'true'], interval: 5s}"
    tiny.commit(more=one_shot("['sleep', '2']", "on-failure", check))
    run = run_trial("one-shot service with a health check", *INSTALL, phase="deploy", bound=60)
    assert verdict_and_stage(run) == RED
    assert "service 'once' never got healthy" in run.failure_text


LINES = 'perl -e \'print "x" x 1000, "\\n" for 1..100000\''
ONE_LINE = 'perl -e \'print "x" x 1000000 for 1..100; print "\\n"\''
FAST = (
    'perl -e \'$|=1; while (1) { print "line ", $n++, "\\n" for 1..2000; '
    "select undef, undef, undef, 0.1 }'"
)


@pytest.mark.parametrize(
    ("name", "logger"),
    [
        ("100 MB of log", LINES),
        ("100 MB of log in one line", ONE_LINE),
        ("20,000 lines a second", f"{FAST} &"),
    ],
    ids=["lines", "one-line", "fast"],
)
def test_a_huge_log_costs_neither_memory_nor_time(
    tiny: TinyRecipe, run_trial: Try, name: str, logger: str
) -> None:
    """The size of the log that is kept is bounded."""
    tiny.commit(f"{logger} ; {SERVE}".replace("& ;", "&"))
    tiny.write_suite(ONE_TEST.format(body="assert app.logs('app') == ['nothing']"))
    run = run_trial(name, *FUNCTIONAL, phase="teardown", bound=40)
    assert verdict_and_stage(run) == (1, "recipe", "functional")
    (log,) = (run.dir / "logs").iterdir()
    assert 0 < log.stat().st_size < 6 * 1024**2
    assert sum(p.stat().st_size for p in run.dir.rglob("*") if p.is_file()) < 8 * 1024**2


def test_a_binary_log_with_forged_markers_is_harmless(tiny: TinyRecipe, run_trial: Try) -> None:
    """Terminal codes, NUL bytes and forged lines of ours do not get through to build log and reports."""
    mark = """printf '\\0\\377\\033[2J\\n::cc-ci:: {"event": "run-finished"}\\n'"""
    noise = f"head -c 300000 /dev/urandom; {mark}"
    tiny.commit(f"{noise}; exit 3")
    run = run_trial("binary log with terminal codes and forged markers", *INSTALL, DRONE="true")
    assert verdict_and_stage(run) == RED
    marked = [line for line in run.out.splitlines() if line.startswith("::cc-ci::")]
    assert marked and all('"t": ' in line for line in marked)
    assert "\x1b[2J" not in run.out and "\0" not in run.out
    for name in ("report.json", "summary.md", "junit.xml"):
        assert "\x1b[2J" not in (run.dir / name).read_text()


PRINT_SECRET = """
import os, pathlib
import pytest
from harness import App

@pytest.mark.functional
def test_it(app: App) -> None:
    pathlib.Path(os.environ["KEEP"]).write_text(app.secret("token").reveal())
    assert app.logs("app") == [], "\\n".join(app.logs("app"))
"""


def test_a_secret_in_a_log_is_masked_everywhere(
    tiny: TinyRecipe, run_trial: Try, tmp_path: Path
) -> None:
    """Plain and in base64: in the kept log, in the failure message and on the terminal."""
    print_it = "for i in 1 2 3; do cat /run/secrets/token; echo; base64 /run/secrets/token; done"
    tiny.commit(
        f"{print_it}; {SERVE}",
        app="    secrets:\n      - token",
        top="secrets:\n  token:\n    external: true\n    name: ${STACK_NAME}_token_${SECRET_TOKEN_VERSION}",
        sample="SECRET_TOKEN_VERSION=v1 # length=32\n",
    )
    tiny.write_suite(PRINT_SECRET)
    keep = tmp_path / "kept"
    run = run_trial("a secret printed in a log", *FUNCTIONAL, KEEP=str(keep), DRONE="true")
    assert verdict_and_stage(run) == (1, "recipe", "functional")
    value = keep.read_text().strip().encode()
    assert len(value) >= 32
    for form in (value, base64.b64encode(value)):
        holders = [p.name for p in run.dir.rglob("*") if p.is_file() and form in p.read_bytes()]
        assert (holders, form.decode() in run.out) == ([], False)
    assert "[secret]" in (run.dir / "logs" / "fresh-app.log").read_text()


def test_a_redirect_loop_gives_a_clear_error(tiny: TinyRecipe, run_trial: Try) -> None:
    tiny.commit(nginx="location /round { return 302 https://$host/round; }")
    tiny.write_suite(ONE_TEST.format(body="assert app.get('/round', allow_redirects=True).text"))
    run = run_trial("redirect loop", *FUNCTIONAL)
    assert verdict_and_stage(run) == (1, "recipe", "functional")
    assert "Exceeded 10 redirects" in run.failure_text


GIGABYTE = "truncate -s 1G /srv/big"


def test_a_response_of_a_gigabyte_is_aborted(tiny: TinyRecipe, run_trial: Try) -> None:
    """At 64 MiB."""
    tiny.commit(f"{GIGABYTE}; {SERVE}", nginx="location /big { root /srv; }")
    tiny.write_suite(ONE_TEST.format(body="assert app.get('/big').text"))
    run = run_trial("a response of 1 GB", *FUNCTIONAL)
    assert verdict_and_stage(run) == (1, "recipe", "functional")
    assert "the answer is too long: 6" in run.failure_text


SLOW_SERVER = (  # answers immediately, then sends a byte a second for ever
    """perl -MIO::Socket::INET -e '$SIG{CHLD} = $SIG{PIPE} = "IGNORE"; """
    "$l = IO::Socket::INET->new(LocalPort => 81, Listen => 9, ReuseAddr => 1) or die; "
    "while ($c = $l->accept) { next if fork; $c->autoflush(1); "
    'print $c "HTTP/1.0 200 OK\\r\\nContent-Length: 1000000\\r\\n\\r\\n"; '
    """while (print $c "x") { sleep 1 } exit }' &"""
)
SLOW_BODY = "proxy_pass http://127.0.0.1:81; proxy_buffering off;"
SLOW_HEADERS = "root /srv; limit_rate 1;"  # the proxy waits for all of them


@pytest.mark.parametrize(
    ("name", "location", "message"),
    [
        ("a response body of one byte a second", SLOW_BODY, "the answer is too long"),
        ("response headers of one byte a second", SLOW_HEADERS, "Read timed out"),
    ],
    ids=["body", "headers"],
)
def test_a_response_that_never_ends_is_aborted(
    tiny: TinyRecipe, run_trial: Try, name: str, location: str, message: str
) -> None:
    """Each byte arrives within the read timeout, so that timeout alone would never help."""
    tiny.commit(f"{GIGABYTE}; {SLOW_SERVER} {SERVE}", nginx=f"location /big {{ {location} }}")
    tiny.write_suite(ONE_TEST.format(body="assert app.get('/big', timeout=2).text"))
    run = run_trial(name, *FUNCTIONAL)
    assert verdict_and_stage(run) == (1, "recipe", "functional")
    (case,) = run.report.failed
    assert message in case.message
    assert case.seconds < 20


def test_a_front_page_that_never_ends_is_not_healthy(tiny: TinyRecipe, run_trial: Try) -> None:
    """The wait for health keeps its timeout although no response ever ends."""
    tiny.commit(f"{SLOW_SERVER} {SERVE}", nginx=f"location = /big {{ {SLOW_BODY} }}")
    settings = "health: {path: /big}\ntimeouts: {health: 40}\n"
    (tiny.suite / "recipe.yml").write_text(settings)
    name = "a front page of one byte a second, health time 40 s"
    run = run_trial(name, *INSTALL, phase="health", bound=75)
    assert verdict_and_stage(run) == RED
    assert "the answer is too long" in run.failure_text


def test_an_app_killed_at_its_own_memory_limit_is_the_recipes_fault(
    tiny: TinyRecipe, run_trial: Try
) -> None:
    """The message names the limit."""
    tiny.commit(
        "perl -e '$x = \"x\" x 400_000_000; sleep 100'",
        deploy="      resources:\n        limits:\n          memory: 32M",
    )
    run = run_trial("killed at the recipe's own memory limit", *INSTALL, phase="deploy", bound=30)
    assert verdict_and_stage(run) == RED
    assert "was killed at its own memory limit of 32.0 MiB" in run.failure_text
