"""Applications that misbehave: the right verdict at the right stage, in bounded time and memory."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.figures import Part, trial
from tests.support.run_process import RunProcess
from tests.support.tiny_recipe import SERVE, TinyRecipe

pytestmark = [pytest.mark.swarm, pytest.mark.faults]
PART = Part.APPS
MAX_MEMORY = 400.0  # MiB of the whole pytest process; it needs 70 by itself, an answer may have 64
INSTALL = ("--stages", "install")
FUNCTIONAL = ("--stages", "functional")
ONE_TEST = """
import pytest
from harness import App

@pytest.mark.functional
def test_it(app: App) -> None:
    {body}
"""


@pytest.fixture
def tiny(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[TinyRecipe]:
    """A tiny recipe named after the test; nothing of it stays."""
    made = TinyRecipe(tmp_path, f"tiny-{abs(hash(request.node.name)) % 100_000}")
    yield made
    made.clean()


@pytest.fixture
def tried(tiny: TinyRecipe) -> Callable[..., RunProcess]:
    """Run the recipe, record the trial, and require that nothing is left and memory is bounded."""

    def run(
        what: str, *options: str, phase: str = "", bound: float = 0.0, **env: str
    ) -> RunProcess:
        with trial(PART, what, bound=bound) as made:
            ended = tiny.run(*options, env={**os.environ, **env})
            found = ended.report
            made.seconds.append(found.phases.get(phase, 0.0) if phase else found.seconds)
            if bound:
                made.in_time()
            made.note = (
                f"time of {phase or 'the whole run'}; memory at most {ended.peak_memory:.0f} MiB"
            )
            made.none_lost(tiny.left())
            assert ended.peak_memory < MAX_MEMORY, ended.out
        return ended

    return run


def judged(ended: RunProcess) -> tuple[int, str, str]:
    """Return status, verdict and the stage that decided."""
    found = ended.report
    return ended.exit_code, found.verdict.value, found.stage


RED = (1, "recipe", "install")


def test_a_crash_loop_is_judged_within_thirty_seconds(
    tiny: TinyRecipe, tried: Callable[..., RunProcess]
) -> None:
    """With Swarm's own pause of five seconds between restarts, and with the app's last words."""
    tiny.commit("echo my last words; exit 3")
    ended = tried("crash loop", *INSTALL, phase="deploy", bound=30)
    assert judged(ended) == RED
    assert "crash loop" in ended.failure_text and "my last words" in ended.failure_text


def test_an_app_that_ignores_its_end_is_removed_in_time(
    tiny: TinyRecipe, tried: Callable[..., RunProcess]
) -> None:
    """It neither obeys TERM nor QUIT and asks for five minutes; teardown does not wait for that."""
    tiny.commit(
        "trap '' TERM QUIT INT; nginx; while :; do sleep 1; done",
        app="    stop_grace_period: 5m",
    )
    ended = tried("ignores TERM, asks for five minutes", *INSTALL, phase="teardown", bound=20)
    assert judged(ended) == (0, "passed", "")


def test_an_app_that_never_gets_healthy_is_called_that(
    tiny: TinyRecipe, tried: Callable[..., RunProcess]
) -> None:
    """Its health check fails for ever."""
    check = "    healthcheck: {test: [CMD, 'false'], interval: 1s, timeout: 1s, retries: 2}"
    tiny.commit(app=check)
    ended = tried("never healthy", *INSTALL, phase="deploy", bound=60)
    assert judged(ended) == RED
    assert "its health check fails, or it stops by itself" in ended.failure_text


ONCE = """\
  once:
    image: ccci/base:bookworm
    command: COMMAND
CHECK
    deploy:
      restart_policy:
        condition: CONDITION
"""


def once(command: str, condition: str, check: str = "") -> str:
    """Return a second service that is started once."""
    text = ONCE.replace("COMMAND", command).replace("CONDITION", condition)
    return text.replace("CHECK", check)


@pytest.mark.parametrize("condition", ["none", "on-failure"])
def test_a_service_that_is_meant_to_end_may_end(
    tiny: TinyRecipe, tried: Callable[..., RunProcess], condition: str
) -> None:
    """A one-shot service that ended well is as good as one that runs."""
    tiny.commit(more=once("['true']", condition))
    ended = tried("one-shot service", *INSTALL, phase="deploy", bound=30)
    assert judged(ended) == (0, "passed", "")


def test_a_one_shot_service_that_fails_is_a_failure_at_once(
    tiny: TinyRecipe, tried: Callable[..., RunProcess]
) -> None:
    """Nobody starts it again, so nobody waits for it."""
    tiny.commit(more=once("['sh', '-c', 'echo no database; exit 4']", "none"))
    ended = tried("one-shot service that fails", *INSTALL, phase="deploy", bound=30)
    assert judged(ended) == RED
    assert "service 'once' has exited" in ended.failure_text and "no database" in ended.failure_text


def test_a_service_with_a_health_check_may_not_end(
    tiny: TinyRecipe, tried: Callable[..., RunProcess]
) -> None:
    """What has a health check is meant to stay, whatever status it ends with."""
    check = "    healthcheck: {test: [CMD, 'true'], interval: 5s}"
    tiny.commit(more=once("['sleep', '2']", "on-failure", check))
    ended = tried("one-shot service with a health check", *INSTALL, phase="deploy", bound=60)
    assert judged(ended) == RED
    assert "service 'once' never got healthy" in ended.failure_text


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
def test_a_flood_of_log_costs_neither_memory_nor_time(
    tiny: TinyRecipe, tried: Callable[..., RunProcess], name: str, logger: str
) -> None:
    """The app is tested as any other; what is kept of its log is bounded."""
    tiny.commit(f"{logger} ; {SERVE}".replace("& ;", "&"))
    tiny.write_suite(ONE_TEST.format(body="assert app.logs('app') == ['nothing']"))
    ended = tried(name, *FUNCTIONAL, phase="teardown", bound=40)
    assert judged(ended) == (1, "recipe", "functional")
    (log,) = (ended.dir / "logs").iterdir()
    assert 0 < log.stat().st_size < 6 * 1024**2
    assert sum(p.stat().st_size for p in ended.dir.rglob("*") if p.is_file()) < 8 * 1024**2


def test_a_binary_log_with_forged_marks_harms_nobody(
    tiny: TinyRecipe, tried: Callable[..., RunProcess]
) -> None:
    """Bytes that are no text, terminal codes and lines like our own reach neither log nor report as such."""
    mark = """printf '\\0\\377\\033[2J\\n::cc-ci:: {"event": "run-finished"}\\n'"""
    noise = f"head -c 300000 /dev/urandom; {mark}"
    tiny.commit(f"{noise}; exit 3")
    ended = tried("binary log with terminal codes and forged marks", *INSTALL, DRONE="true")
    assert judged(ended) == RED
    marked = [line for line in ended.out.splitlines() if line.startswith("::cc-ci::")]
    assert marked and all('"t": ' in line for line in marked)
    assert "\x1b[2J" not in ended.out and "\0" not in ended.out
    for name in ("report.json", "summary.md", "junit.xml"):
        assert "\x1b[2J" not in (ended.dir / name).read_text()


SPOKEN = """
import os, pathlib
import pytest
from harness import App

@pytest.mark.functional
def test_it(app: App) -> None:
    pathlib.Path(os.environ["KEEP"]).write_text(app.secret("token").reveal())
    assert app.logs("app") == [], "\\n".join(app.logs("app"))
"""


def test_a_secret_in_a_log_is_masked_everywhere(
    tiny: TinyRecipe, tried: Callable[..., RunProcess], tmp_path: Path
) -> None:
    """Plain and in base64, in the log kept, in the message of a failure, and on the terminal."""
    speak = "for i in 1 2 3; do cat /run/secrets/token; echo; base64 /run/secrets/token; done"
    tiny.commit(
        f"{speak}; {SERVE}",
        app="    secrets:\n      - token",
        top="secrets:\n  token:\n    external: true\n    name: ${STACK_NAME}_token_${SECRET_TOKEN_VERSION}",
        sample="SECRET_TOKEN_VERSION=v1 # length=32\n",
    )
    tiny.write_suite(SPOKEN)
    keep = tmp_path / "kept"
    ended = tried("a secret printed in a log", *FUNCTIONAL, KEEP=str(keep), DRONE="true")
    assert judged(ended) == (1, "recipe", "functional")
    value = keep.read_text().strip().encode()
    assert len(value) >= 32
    for form in (value, base64.b64encode(value)):
        holders = [p.name for p in ended.dir.rglob("*") if p.is_file() and form in p.read_bytes()]
        assert (holders, form.decode() in ended.out) == ([], False)
    assert "[secret]" in (ended.dir / "logs" / "fresh-app.log").read_text()


def test_a_redirect_loop_is_a_sentence(tiny: TinyRecipe, tried: Callable[..., RunProcess]) -> None:
    """Following it ends after ten steps."""
    tiny.commit(nginx="location /round { return 302 https://$host/round; }")
    tiny.write_suite(ONE_TEST.format(body="assert app.get('/round', allow_redirects=True).text"))
    ended = tried("redirect loop", *FUNCTIONAL)
    assert judged(ended) == (1, "recipe", "functional")
    assert "Exceeded 10 redirects" in ended.failure_text


GIGABYTE = "truncate -s 1G /srv/big"


def test_an_answer_of_a_gigabyte_is_not_kept(
    tiny: TinyRecipe, tried: Callable[..., RunProcess]
) -> None:
    """It is given up at 64 MiB."""
    tiny.commit(f"{GIGABYTE}; {SERVE}", nginx="location /big { root /srv; }")
    tiny.write_suite(ONE_TEST.format(body="assert app.get('/big').text"))
    ended = tried("an answer of 1 GB", *FUNCTIONAL)
    assert judged(ended) == (1, "recipe", "functional")
    assert "the answer is too long: 6" in ended.failure_text


DRIP = (  # answers at once, then sends a byte a second for ever
    """perl -MIO::Socket::INET -e '$SIG{CHLD} = $SIG{PIPE} = "IGNORE"; """
    "$l = IO::Socket::INET->new(LocalPort => 81, Listen => 9, ReuseAddr => 1) or die; "
    "while ($c = $l->accept) { next if fork; $c->autoflush(1); "
    'print $c "HTTP/1.0 200 OK\\r\\nContent-Length: 1000000\\r\\n\\r\\n"; '
    """while (print $c "x") { sleep 1 } exit }' &"""
)
BODY = "proxy_pass http://127.0.0.1:81; proxy_buffering off;"
HEADERS = "root /srv; limit_rate 1;"  # the proxy waits for all of them


@pytest.mark.parametrize(
    ("name", "drip", "said"),
    [
        ("an answer whose body comes a byte a second", BODY, "the answer is too long"),
        ("an answer whose headers come a byte a second", HEADERS, "Read timed out"),
    ],
    ids=["body", "headers"],
)
def test_an_answer_that_drips_for_ever_is_given_up(
    tiny: TinyRecipe, tried: Callable[..., RunProcess], name: str, drip: str, said: str
) -> None:
    """Each byte comes in time, the whole never."""
    tiny.commit(f"{GIGABYTE}; {DRIP} {SERVE}", nginx=f"location /big {{ {drip} }}")
    tiny.write_suite(ONE_TEST.format(body="assert app.get('/big', timeout=2).text"))
    ended = tried(name, *FUNCTIONAL)
    assert judged(ended) == (1, "recipe", "functional")
    (case,) = ended.report.failed
    assert said in case.message
    assert case.seconds < 20


def test_a_front_page_that_drips_for_ever_is_not_up(
    tiny: TinyRecipe, tried: Callable[..., RunProcess]
) -> None:
    """The wait for health ends within its own time although every question drips."""
    tiny.commit(f"{DRIP} {SERVE}", nginx=f"location = /big {{ {BODY} }}")
    settings = "health: {path: /big}\ntimeouts: {health: 40}\n"
    (tiny.suite / "recipe.yml").write_text(settings)
    name = "a front page of one byte a second, health time 40 s"
    ended = tried(name, *INSTALL, phase="health", bound=75)
    assert judged(ended) == RED
    assert "the answer is too long" in ended.failure_text


def test_an_app_killed_at_its_own_memory_limit_is_at_fault(
    tiny: TinyRecipe, tried: Callable[..., RunProcess]
) -> None:
    """The kernel really ends it; the sentence names the limit."""
    tiny.commit(
        "perl -e '$x = \"x\" x 400_000_000; sleep 100'",
        deploy="      resources:\n        limits:\n          memory: 32M",
    )
    ended = tried("killed at the recipe's own memory limit", *INSTALL, phase="deploy", bound=30)
    assert judged(ended) == RED
    assert "was killed at its own memory limit of 32.0 MiB" in ended.failure_text
