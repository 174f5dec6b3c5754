"""Git with untrusted recipes: no hook or filter runs, no link leaves the checkout, nothing fills the disk."""

import random
from pathlib import Path

import pytest

from harness.errors import InfraError, RecipeFailure
from harness.recipe import git
from tests.unit.harness.recipe.repository import Repository


def test_no_hook_runs(
    upstream: Repository, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a hook in the checkout nor one from the user's template."""
    template = tmp_path / "template" / "hooks"
    (tmp_path / ".gitconfig").write_text(f"[init]\n\ttemplateDir = {tmp_path}/template\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    sha = upstream.git("rev-parse", "HEAD")
    for folder in (template, target / ".git" / "hooks"):
        folder.mkdir(parents=True, exist_ok=True)
        hook = folder / "post-checkout"
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        hook.chmod(0o755)
        if folder is template:
            git.fetch_checkout(upstream.url, sha, target)
    git.checkout(target, sha)
    assert not (tmp_path / "ran").exists()


def test_a_url_is_never_an_option(tmp_path: Path) -> None:
    with pytest.raises(InfraError):
        git.resolve(f"--upload-pack=touch {tmp_path}/ran", None)
    assert not (tmp_path / "ran").exists()


def test_git_gets_the_id_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The janitor finds the child processes of a dead run by this variable."""
    stand_in = tmp_path / "git"
    names = "$CCCI_RUN $GIT_TERMINAL_PROMPT $GIT_CONFIG_NOSYSTEM"
    stand_in.write_text(f"#!/bin/sh\necho {names} > {tmp_path}/seen\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CCCI_RUN", "local-7")
    assert git.version_tags(tmp_path) == []
    assert (tmp_path / "seen").read_text() == "local-7 0 1\n"


@pytest.mark.parametrize(
    ("name", "target_path"),
    [
        ("abra.sh", "/etc/passwd"),
        ("a", "../.."),
        ("a", "../../../../etc"),
        ("b", "b"),
        ("c", ".git/config"),
    ],
)
def test_a_link_out_of_the_checkout_is_refused(
    upstream: Repository, target: Path, name: str, target_path: str
) -> None:
    """A recipe must not make the harness read files of the host, or loop."""
    (upstream.path / name).symlink_to(target_path)
    sha = upstream.commit()
    with pytest.raises(
        RecipeFailure, match=f"the link '{name}' of the recipe points to '{target_path}'"
    ):
        git.fetch_checkout(upstream.url, sha, target)


def test_a_link_inside_the_checkout_is_allowed(upstream: Repository, target: Path) -> None:
    (upstream.path / "a.yml").symlink_to("compose.yml")
    git.fetch_checkout(upstream.url, upstream.commit(), target)
    assert (target / "a.yml").read_text() == "two"


def test_links_are_checked_after_moving_to_another_commit(
    upstream: Repository, target: Path
) -> None:
    """The published version is as untrusted as the head."""
    (upstream.path / "a").symlink_to("/etc/passwd")
    bad = upstream.commit()
    (upstream.path / "a").unlink()
    git.fetch_checkout(upstream.url, upstream.commit(), target)
    with pytest.raises(RecipeFailure, match="points to"):
        git.checkout(target, bad)


def test_the_users_git_attributes_are_not_applied(
    upstream: Repository, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line ends of a checkout are those of the commit."""
    own = tmp_path / ".config" / "git"
    own.mkdir(parents=True)
    (own / "attributes").write_text("* text eol=crlf\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    git.fetch_checkout(upstream.url, upstream.commit(abra_sh="one\ntwo\n"), target)
    assert (target / "abra.sh").read_bytes() == b"one\ntwo\n"


def test_git_does_not_get_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could select another repository, and its servers must not see our secrets."""
    stand_in = tmp_path / "git"
    stand_in.write_text(f"#!/bin/sh\nenv > {tmp_path}/seen\nexit 1\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in ("GIT_DIR", "GIT_SSH_COMMAND", "GIT_CONFIG_COUNT", "DRONE_TOKEN", "LD_PRELOAD_X"):
        monkeypatch.setenv(name, "ours")
    with pytest.raises(InfraError):
        git.resolve("/nowhere", None)
    assert "ours" not in (tmp_path / "seen").read_text()


def test_files_that_cannot_be_counted_in_time_are_too_many(
    upstream: Repository, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git trees that contain each other take forever to count; that is the recipe's fault."""
    monkeypatch.setattr(git, "COUNT_TIMEOUT", 0.0)
    with pytest.raises(RecipeFailure, match="too many files: counting them took"):
        git.fetch_checkout(upstream.url, upstream.git("rev-parse", "HEAD"), target)


def test_a_repository_that_would_fill_the_disk_is_not_fetched(
    upstream: Repository, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file that git writes has a size limit, packs included."""
    monkeypatch.setattr(git, "MAX_WRITTEN_FILE", 50_000)
    (upstream.path / "big").write_bytes(random.Random(1).randbytes(200_000))
    upstream.commit()
    url = f"file://{upstream.path}"  # a path alone is linked, not fetched
    with pytest.raises(InfraError):
        git.fetch_checkout(url, upstream.git("rev-parse", "HEAD"), target)
