"""Creating builds and reading the API: what a caller may send, and what Drone responds."""

from __future__ import annotations

import pytest

from tests.integration.drone.drone_env import REPO, DroneEnv, pipeline, step
from tests.integration.drone.recordings import COMMIT_KEYS, assert_like_recording, exchanges
from tests.integration.drone.standin_env import StandInEnv

pytestmark = pytest.mark.contract

QUICK = step("run", "true")


def test_a_created_build_is_pending_and_shows_its_parameters(drone: DroneEnv) -> None:
    """Every key of the query except branch and commit is a parameter."""
    sha = drone.push("create", pipeline("create", QUICK))
    asked = {"branch": "create", "commit": sha, "RECIPE": "hello", "REF": "abc", "MODE": "x"}
    response = drone.call("POST", f"{REPO}/builds", params=asked)
    assert_like_recording(response, "build-create", ignore=COMMIT_KEYS)
    build = response.json()
    assert build["params"] == {"MODE": "x", "RECIPE": "hello", "REF": "abc"}
    assert build["after"] == build["before"] == sha
    assert (build["source"], build["target"], build["ref"]) == (
        *("create", "create"),
        "refs/heads/create",
    )
    assert build["message"] == "pipelines of create [CI SKIP]\n"
    assert drone.finished(build["number"])["status"] == "success"


def test_unknown_objects_are_404_and_bad_tokens_401(drone: DroneEnv) -> None:
    for at, exchange in enumerate(exchanges("build-create-errors")):
        request = exchange["request"]
        token = request["headers"].get("Authorization", "").removeprefix("Bearer ")
        user = {"": "", "bad": "bad"}.get(token, "bridge")
        assert_like_recording(
            drone.call("POST", request["path"], user=user), "build-create-errors", at
        )


def test_without_a_pipeline_for_custom_events_the_response_is_null(drone: DroneEnv) -> None:
    drone.push("nomatch", pipeline("push-only", QUICK, event="push"))
    response = drone.call("POST", f"{REPO}/builds?branch=nomatch")
    assert_like_recording(response, "build-create-no-match")
    assert response.json() is None


def test_a_star_in_a_branch_pattern_does_not_match_a_slash(drone: DroneEnv) -> None:
    yml = pipeline("a", QUICK).replace("[custom]", "[c*]\n  branch: [feat*]")
    drone.push("feat/x", yml)
    drone.push("feat-x", yml)
    assert drone.call("POST", f"{REPO}/builds?branch=feat/x").json() is None
    assert drone.call("POST", f"{REPO}/builds?branch=feat-x").json()["status"] == "pending"


def test_an_inactive_repository_creates_no_build(drone: DroneEnv) -> None:
    if drone.real:
        pytest.skip("only the stand-in has a second repository")
    response = drone.call("POST", "/api/repos/ci/asleep/builds?branch=main")
    assert (response.status_code, response.json()) == (200, None)


def test_without_a_pipeline_file_the_call_waits_and_fails(drone: DroneEnv) -> None:
    drone.push("noyml", None)
    assert_like_recording(
        drone.call("POST", f"{REPO}/builds?branch=noyml"), "build-create-no-yaml-file"
    )


def test_two_pipelines_with_one_name_are_an_error_immediately(drone: DroneEnv) -> None:
    """Even if the event triggers only one of them."""
    drone.push("dup", pipeline("a", QUICK, event="push") + "---\n" + pipeline("a", QUICK))
    response = drone.call("POST", f"{REPO}/builds?branch=dup&RECIPE=x")
    assert_like_recording(response, "build-create-lint-error", ignore=COMMIT_KEYS)
    assert response.json()["error"] == "linter: duplicate pipeline names"


def test_invalid_yaml_is_an_error_immediately(drone: DroneEnv) -> None:
    """Such a build never gets stages."""
    drone.push("badyaml", "kind: pipeline\nsteps:\n- name: [a\n  b: }\n")
    made = drone.call("POST", f"{REPO}/builds?branch=badyaml")
    assert_like_recording(made, "build-yaml-error", 0, ignore=COMMIT_KEYS)
    assert made.json()["error"].startswith("yaml: line ")
    path = f"{REPO}/builds/{made.json()['number']}"
    assert_like_recording(drone.call("GET", path), "build-yaml-error", 1, ignore=COMMIT_KEYS)


def test_the_parameters_message_and_action_set_the_builds_fields(drone: DroneEnv) -> None:
    """Of a repeated key the first value counts."""
    drone.push("own", pipeline("own", QUICK))
    query = "branch=own&message=hi+there&action=act&A=1&A=2&event=push&ref=x"
    build = drone.call("POST", f"{REPO}/builds?{query}").json()
    assert (build["message"], build["action"], build["event"]) == ("hi there", "act", "custom")
    assert build["params"]["A"] == "1"
    assert build["ref"] == "refs/heads/own"


def test_a_short_sha_is_completed(drone: DroneEnv) -> None:
    sha = drone.push("short", pipeline("short", QUICK))
    build = drone.call("POST", f"{REPO}/builds?branch=short&commit={sha[:10]}").json()
    assert build["after"] == sha


def test_a_restart_repeats_the_parameters(drone: DroneEnv) -> None:
    """New parameters are added, but do not replace old values."""
    drone.push("again", pipeline("again", QUICK))
    old = drone.create("again", MODE="ok", RECIPE="hello")
    response = drone.call("POST", f"{REPO}/builds/{old}?RECIPE=other&NEW=1")
    assert_like_recording(response, "build-restart", ignore=COMMIT_KEYS)
    assert response.json()["params"] == {"MODE": "ok", "NEW": "1", "RECIPE": "hello"}
    assert response.json()["parent"] == old


def test_lists_are_newest_first_without_stages(drone: DroneEnv) -> None:
    """The page after the last one is empty; the latest build of a branch comes with stages."""
    drone.push("list", pipeline("list", QUICK, extra="concurrency: {limit: 2}\n"))
    numbers = [drone.create("list", A="1") for _ in range(3)]
    for number in numbers:
        drone.finished(number)
    page = drone.call("GET", f"{REPO}/builds?page=1&per_page=3")
    assert [build["number"] for build in page.json()] == numbers[::-1]
    assert not [build for build in page.json() if "stages" in build]
    assert_like_recording(drone.call("GET", f"{REPO}/builds?page=99"), "builds-list", 1)
    latest = drone.call("GET", f"{REPO}/builds/latest?branch=list")
    assert latest.json()["number"] == numbers[-1]
    assert latest.json()["stages"][0]["limit"] == 2
    missing = drone.call("GET", f"{REPO}/builds/latest?branch=nosuch")
    assert missing.status_code == 404


def test_unknown_builds_are_404_and_cancelling_a_finished_one_changes_nothing(
    drone: DroneEnv,
) -> None:
    drone.push("done", pipeline("done", QUICK, extra="concurrency: {limit: 2}\n"))
    number = drone.create("done", A="1")
    before, name = drone.finished(number), "build-not-found-and-cancel-finished"
    assert_like_recording(drone.call("GET", f"{REPO}/builds/99999"), name, 0)
    assert_like_recording(drone.call("DELETE", f"{REPO}/builds/99999"), name, 1)
    response = drone.cancel(number)
    assert_like_recording(response, name, 2, ignore=COMMIT_KEYS)
    assert response.json()["status"] == before["status"]
    assert_like_recording(drone.call("DELETE", f"{REPO}/builds/{number}", user=""), name, 3)
    assert drone.call("GET", f"{REPO}/builds/abc").status_code == 400


def test_a_public_repository_is_readable_without_a_valid_token(drone: DroneEnv) -> None:
    extra = "concurrency: {limit: 2}\n"
    drone.push("public", pipeline("recipe-ci", step("run", "echo hi"), extra=extra))
    number = drone.create("public", A="1")
    drone.finished(number)
    for user in ("", "bad"):
        build = drone.call("GET", f"{REPO}/builds/{number}", user=user)
        assert_like_recording(build, "build-anonymous-read", 0, ignore=COMMIT_KEYS)
        log = drone.call("GET", f"{REPO}/builds/{number}/logs/1/2", user=user)
        assert_like_recording(log, "build-anonymous-read", 1)


def test_a_user_who_is_not_an_admin_may_only_read(drone: DroneEnv) -> None:
    """For creating and cancelling, Drone says that the repository does not exist."""
    extra = "concurrency: {limit: 2}\n"
    drone.push("plain", pipeline("recipe-ci", QUICK, extra=extra))
    number = drone.create("plain", A="1")
    drone.finished(number)
    path, name = f"{REPO}/builds/{number}", "non-admin-machine-user"
    assert_like_recording(
        drone.call("POST", f"{REPO}/builds?branch=plain", user="plainbot"), name, 0
    )
    assert_like_recording(drone.call("GET", path, user="plainbot"), name, 1, ignore=COMMIT_KEYS)
    assert_like_recording(drone.call("DELETE", path, user="plainbot"), name, 2)


def test_repository_version_and_health(drone: DroneEnv) -> None:
    response = drone.call("GET", REPO)
    assert_like_recording(response, "repo")
    assert (response.json()["timeout"], response.json()["default_branch"]) == (60, "main")
    assert_like_recording(drone.call("GET", "/healthz"), "version-and-health", 0)
    assert_like_recording(drone.call("GET", "/version"), "version-and-health", 1)


def test_an_admin_can_change_the_timeout(drone: DroneEnv) -> None:
    response = drone.call("PATCH", REPO, json={"timeout": 1})
    assert_like_recording(response, "repo-update-timeout")
    assert response.json()["timeout"] == 1
    assert drone.call("PATCH", REPO, json={"timeout": 2}, user="plainbot").status_code == 404
    assert drone.call("PATCH", REPO, json={"timeout": 60}).json()["timeout"] == 60


def test_the_stand_in_refuses_unsupported_keys(drone: DroneEnv) -> None:
    """A real Drone ignores unknown keys, which would hide a mistake."""
    if not isinstance(drone, StandInEnv):
        pytest.skip("a real Drone ignores unknown keys")
    for extra in ("node: {a: b}\n", "workspace: x\n", "clone: {depth: 1}\n", "depends_on: [a]\n"):
        drone.push("unknown", pipeline("unknown", QUICK, extra=extra))
        build = drone.call("POST", f"{REPO}/builds?branch=unknown").json()
        assert build["status"] == "error"
        assert f"does not support the key '{extra.split(':')[0]}'" in build["error"]
    assert drone.call("GET", "/welcome").status_code == 501


def test_api_user_names_the_owner_of_the_token(drone: DroneEnv) -> None:
    for login, admin in (("bridge", True), ("plainbot", False)):
        found = drone.call("GET", "/api/user", user=login).json()
        assert (found["login"], found["machine"], found["admin"]) == (login, True, admin)
    assert drone.call("GET", "/api/user", user="").status_code == 401


def test_a_comment_before_the_first_separator_is_a_document(drone: DroneEnv) -> None:
    """Such a document has no kind, so Drone refuses the file."""
    good = pipeline("comment", QUICK)
    drone.push("comment", f"# said first\n---\n{good}")
    made = drone.call("POST", f"{REPO}/builds?branch=comment").json()
    assert (made["status"], made["error"]) == ("error", "yaml: missing kind attribute")
    drone.push("comment", f"---\n# said later\n{good}")
    assert drone.finished(drone.create("comment"))["status"] == "success"
