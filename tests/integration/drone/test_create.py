"""Making builds: what a caller may send, and what Drone answers."""

from __future__ import annotations

import pytest

from tests.integration.drone.drone_env import REPO, Place, pipeline, step
from tests.integration.drone.recordings import exchanges, like
from tests.integration.drone.standin_env import StandIn

pytestmark = pytest.mark.contract

QUICK = step("run", "true")
OWN_TEXT = ("message", "ref", "source", "target")


def test_a_created_build_is_pending_and_shows_its_parameters(drone: Place) -> None:
    """Every key of the query except branch and commit becomes a parameter."""
    sha = drone.push("create", pipeline("create", QUICK))
    asked = {"branch": "create", "commit": sha, "RECIPE": "hello", "REF": "abc", "MODE": "x"}
    answer = drone.call("POST", f"{REPO}/builds", params=asked)
    like(answer, "build-create", but=OWN_TEXT)
    build = answer.json()
    assert build["params"] == {"MODE": "x", "RECIPE": "hello", "REF": "abc"}
    assert build["after"] == build["before"] == sha
    assert (build["source"], build["target"], build["ref"]) == (
        *("create", "create"),
        "refs/heads/create",
    )
    assert build["message"] == "pipelines of create [CI SKIP]\n"
    assert drone.over(build["number"])["status"] == "success"


def test_what_is_unknown_or_not_permitted_makes_no_build(drone: Place) -> None:
    """Unknown commit, branch or repository is 404; a bad token or none is 401."""
    for at, exchange in enumerate(exchanges("build-create-errors")):
        request = exchange["request"]
        token = request["headers"].get("Authorization", "").removeprefix("Bearer ")
        user = {"": "", "bad": "bad"}.get(token, "bridge")
        like(drone.call("POST", request["path"], user=user), "build-create-errors", at)


def test_no_matching_pipeline_is_null(drone: Place) -> None:
    """A commit whose pipelines all want other events makes no build."""
    drone.push("nomatch", pipeline("push-only", QUICK, event="push"))
    answer = drone.call("POST", f"{REPO}/builds?branch=nomatch")
    like(answer, "build-create-no-match")
    assert answer.json() is None


def test_a_branch_pattern_stops_at_a_slash(drone: Place) -> None:
    """`feat*` does not match feat/x, and event and branch must both match."""
    yml = pipeline("a", QUICK).replace("[custom]", "[c*]\n  branch: [feat*]")
    drone.push("feat/x", yml)
    drone.push("feat-x", yml)
    assert drone.call("POST", f"{REPO}/builds?branch=feat/x").json() is None
    assert drone.call("POST", f"{REPO}/builds?branch=feat-x").json()["status"] == "pending"


def test_an_inactive_repository_makes_no_build(drone: Place) -> None:
    """A repository that was switched off answers null."""
    if drone.real:
        pytest.skip("only the stand-in has a second repository")
    answer = drone.call("POST", "/api/repos/ci/asleep/builds?branch=main")
    assert (answer.status_code, answer.json()) == (200, None)


def test_without_a_pipeline_file_the_call_waits_and_fails(drone: Place) -> None:
    """No `.drone.yml` at the commit is a 500 after a wait."""
    drone.push("noyml", None)
    like(drone.call("POST", f"{REPO}/builds?branch=noyml"), "build-create-no-yaml-file")


def test_two_pipelines_of_one_name_are_an_error_at_once(drone: Place) -> None:
    """The answer is already a build with status error, even if one of them would not match."""
    drone.push("dup", pipeline("a", QUICK, event="push") + "---\n" + pipeline("a", QUICK))
    answer = drone.call("POST", f"{REPO}/builds?branch=dup&RECIPE=x")
    like(answer, "build-create-lint-error", but=OWN_TEXT)
    assert answer.json()["error"] == "linter: duplicate pipeline names"


def test_a_file_that_is_no_yaml_is_an_error_at_once(drone: Place) -> None:
    """The build says where the YAML breaks, and has no stages later either."""
    drone.push("badyaml", "kind: pipeline\nsteps:\n- name: [a\n  b: }\n")
    made = drone.call("POST", f"{REPO}/builds?branch=badyaml")
    like(made, "build-yaml-error", 0, but=OWN_TEXT)
    assert made.json()["error"].startswith("yaml: line ")
    path = f"{REPO}/builds/{made.json()['number']}"
    like(drone.call("GET", path), "build-yaml-error", 1, but=OWN_TEXT)


def test_message_and_action_are_also_the_builds_own(drone: Place) -> None:
    """The parameters message and action set the build's; of a repeated key the first one counts."""
    drone.push("own", pipeline("own", QUICK))
    query = "branch=own&message=hi+there&action=act&A=1&A=2&event=push&ref=x"
    build = drone.call("POST", f"{REPO}/builds?{query}").json()
    assert (build["message"], build["action"], build["event"]) == ("hi there", "act", "custom")
    assert build["params"]["A"] == "1"
    assert build["ref"] == "refs/heads/own"


def test_a_short_sha_is_completed(drone: Place) -> None:
    """The build names the whole sha."""
    sha = drone.push("short", pipeline("short", QUICK))
    build = drone.call("POST", f"{REPO}/builds?branch=short&commit={sha[:10]}").json()
    assert build["after"] == sha


def test_a_restart_repeats_the_parameters(drone: Place) -> None:
    """A restarted build names its parent; new parameters are added, old values win."""
    drone.push("again", pipeline("again", QUICK))
    old = drone.create("again", MODE="ok", RECIPE="hello")
    answer = drone.call("POST", f"{REPO}/builds/{old}?RECIPE=other&NEW=1")
    like(answer, "build-restart", but=OWN_TEXT)
    assert answer.json()["params"] == {"MODE": "ok", "NEW": "1", "RECIPE": "hello"}
    assert answer.json()["parent"] == old


def test_lists_are_newest_first_without_stages(drone: Place) -> None:
    """Pages have no stages, the one past the end is empty, and the latest of a branch has them."""
    drone.push("list", pipeline("list", QUICK, extra="concurrency: {limit: 2}\n"))
    numbers = [drone.create("list", A="1") for _ in range(3)]
    for number in numbers:
        drone.over(number)
    page = drone.call("GET", f"{REPO}/builds?page=1&per_page=3")
    assert [build["number"] for build in page.json()] == numbers[::-1]
    assert not [build for build in page.json() if "stages" in build]
    like(drone.call("GET", f"{REPO}/builds?page=99"), "builds-list", 1)
    latest = drone.call("GET", f"{REPO}/builds/latest?branch=list")
    assert latest.json()["number"] == numbers[-1]
    assert latest.json()["stages"][0]["limit"] == 2
    missing = drone.call("GET", f"{REPO}/builds/latest?branch=nosuch")
    assert missing.status_code == 404


def test_unknown_builds_and_finished_ones(drone: Place) -> None:
    """Unknown is 404; cancelling what is finished changes nothing; strangers may not."""
    drone.push("done", pipeline("done", QUICK, extra="concurrency: {limit: 2}\n"))
    number = drone.create("done", A="1")
    before, name = drone.over(number), "build-not-found-and-cancel-finished"
    like(drone.call("GET", f"{REPO}/builds/99999"), name, 0)
    like(drone.call("DELETE", f"{REPO}/builds/99999"), name, 1)
    answer = drone.cancel(number)
    like(answer, name, 2, but=OWN_TEXT)
    assert answer.json()["status"] == before["status"]
    like(drone.call("DELETE", f"{REPO}/builds/{number}", user=""), name, 3)
    assert drone.call("GET", f"{REPO}/builds/abc").status_code == 400


def test_strangers_read_a_public_repository(drone: Place) -> None:
    """Builds and logs are readable without credentials, and with wrong ones."""
    extra = "concurrency: {limit: 2}\n"
    drone.push("public", pipeline("recipe-ci", step("run", "echo hi"), extra=extra))
    number = drone.create("public", A="1")
    drone.over(number)
    for user in ("", "bad"):
        build = drone.call("GET", f"{REPO}/builds/{number}", user=user)
        like(build, "build-anonymous-read", 0, but=OWN_TEXT)
        log = drone.call("GET", f"{REPO}/builds/{number}/logs/1/2", user=user)
        like(log, "build-anonymous-read", 1)


def test_a_user_who_is_no_admin_may_only_read(drone: Place) -> None:
    """Creating and cancelling look as if the repository were not there."""
    extra = "concurrency: {limit: 2}\n"
    drone.push("plain", pipeline("recipe-ci", QUICK, extra=extra))
    number = drone.create("plain", A="1")
    drone.over(number)
    path, name = f"{REPO}/builds/{number}", "non-admin-machine-user"
    like(drone.call("POST", f"{REPO}/builds?branch=plain", user="plainbot"), name, 0)
    like(drone.call("GET", path, user="plainbot"), name, 1, but=OWN_TEXT)
    like(drone.call("DELETE", path, user="plainbot"), name, 2)


def test_repository_version_and_health(drone: Place) -> None:
    """The repository shows its branch and its time-out."""
    answer = drone.call("GET", REPO)
    like(answer, "repo")
    assert (answer.json()["timeout"], answer.json()["default_branch"]) == (60, "main")
    like(drone.call("GET", "/healthz"), "version-and-health", 0)
    like(drone.call("GET", "/version"), "version-and-health", 1)


def test_the_timeout_can_be_changed(drone: Place) -> None:
    """A change is answered with the repository, and only an administrator may make one."""
    answer = drone.call("PATCH", REPO, json={"timeout": 1})
    like(answer, "repo-update-timeout")
    assert answer.json()["timeout"] == 1
    assert drone.call("PATCH", REPO, json={"timeout": 2}, user="plainbot").status_code == 404
    assert drone.call("PATCH", REPO, json={"timeout": 60}).json()["timeout"] == 60


def test_what_is_not_modelled_is_refused(drone: Place) -> None:
    """The stand-in says which key of a pipeline it does not know, where Drone would ignore it."""
    if not isinstance(drone, StandIn):
        pytest.skip("a real Drone ignores unknown keys")
    for extra in ("node: {a: b}\n", "workspace: x\n", "clone: {depth: 1}\n", "depends_on: [a]\n"):
        drone.push("unknown", pipeline("unknown", QUICK, extra=extra))
        build = drone.call("POST", f"{REPO}/builds?branch=unknown").json()
        assert build["status"] == "error"
        assert f"does not support the key '{extra.split(':')[0]}'" in build["error"]
    assert drone.call("GET", "/welcome").status_code == 501


def test_whose_token_it_is(drone: Place) -> None:
    """A machine user reads its own login, and whether it is an admin; nobody reads nothing."""
    for login, admin in (("bridge", True), ("plainbot", False)):
        found = drone.call("GET", "/api/user", user=login).json()
        assert (found["login"], found["machine"], found["admin"]) == (login, True, admin)
    assert drone.call("GET", "/api/user", user="").status_code == 401


def test_a_comment_before_the_first_separator_is_a_document(drone: Place) -> None:
    """It has no kind, so no pipeline of the file can be used; after the separator it does no harm."""
    good = pipeline("comment", QUICK)
    drone.push("comment", f"# said first\n---\n{good}")
    made = drone.call("POST", f"{REPO}/builds?branch=comment").json()
    assert (made["status"], made["error"]) == ("error", "yaml: missing kind attribute")
    drone.push("comment", f"---\n# said later\n{good}")
    assert drone.over(drone.create("comment"))["status"] == "success"
