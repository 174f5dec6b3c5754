"""Git with real repositories: exactly one commit and the published tags; nothing of the recipe runs."""

import os
from pathlib import Path

import pytest

from harness.errors import InfraError, TimedOut, UsageError
from harness.host import proc
from harness.recipe import git
from tests.support import git_repo
from tests.unit.harness.recipe.repository import Repository, head, is_clean

NOWHERE = "0" * 40


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("a" * 40, True),
        ("0123456789abcdef0123456789abcdef01234567", True),
        ("a" * 39, False),
        ("a" * 41, False),
        ("A" * 40, False),
        ("a" * 40 + "\n", False),
        ("main", False),
        ("", False),
    ],
)
def test_only_forty_hex_digits_are_a_full_sha(text: str, full: bool) -> None:
    assert git.is_full_sha(text) is full


def test_a_branch_is_resolved_to_its_commit(upstream: Repository) -> None:
    """The sha is used from then on, because a branch can move (incident U3)."""
    upstream.git("checkout", "--quiet", "-b", "pr")
    sha = upstream.commit(compose_yml="pr")
    assert git.resolve(upstream.url, "pr") == sha


def test_no_name_means_the_default_branch(upstream: Repository) -> None:
    assert git.resolve(upstream.url, None) == upstream.git("rev-parse", "HEAD")


def test_a_ref_that_only_ends_with_the_name_is_not_used(upstream: Repository) -> None:
    """`ls-remote` lists such refs too."""
    upstream.git("update-ref", "refs/a/refs/heads/pr", upstream.git("rev-parse", "HEAD~1"))
    with pytest.raises(UsageError, match="has no branch 'pr'"):
        git.resolve(upstream.url, "pr")


def test_a_missing_repository_is_an_infrastructure_problem(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match=r"reading HEAD of '.*/gone' failed"):
        git.resolve(str(tmp_path / "gone"), None)


@pytest.mark.parametrize("ref", ["main", "1.0.0+1", "abc123", "A" * 40, ""])
def test_a_ref_that_is_not_a_full_sha_is_refused(
    upstream: Repository, target: Path, ref: str
) -> None:
    """A branch may move between the comment and the run (incident U3)."""
    with pytest.raises(UsageError) as caught:
        git.fetch_checkout(upstream.url, ref, target)
    assert str(caught.value) == f"REF is '{ref}', but must be a full commit sha (40 hex digits)"
    assert not target.exists()


def test_exactly_the_commit_is_checked_out(upstream: Repository, target: Path) -> None:
    """Not the newest commit of the branch."""
    wanted = upstream.git("rev-parse", "HEAD~1")
    git.fetch_checkout(upstream.url, wanted, target)
    assert head(target) == wanted
    assert (target / "compose.yml").read_text() == "one"
    assert is_clean(target)


def test_a_commit_of_a_fork_is_fetched_with_upstreams_tags(
    upstream: Repository, fork: Repository, target: Path
) -> None:
    fork.git("tag", "--delete", "1.0.0+1")
    git.fetch_checkout(fork.url, fork.git("rev-parse", "HEAD"), target, upstream_url=upstream.url)
    assert (target / "compose.yml").read_text() == "three"
    assert [tag.name for tag in git.version_tags(target)] == ["1.0.0+1"]


def test_tags_of_a_fork_are_not_published_versions(
    upstream: Repository, fork: Repository, target: Path
) -> None:
    """A pull request must not choose its own upgrade base by pushing a tag."""
    fork.git("tag", "--annotate", "--message", "x", "9.9.9+9", "HEAD")
    fork.git("tag", "--annotate", "--message", "x", "9.9.8+9", "HEAD~1")
    fork.commit(compose_yml="four")
    git.fetch_checkout(fork.url, fork.git("rev-parse", "HEAD"), target, upstream_url=upstream.url)
    assert [tag.name for tag in git.version_tags(target)] == ["1.0.0+1"]


def test_a_commit_on_no_branch_is_fetched(
    upstream: Repository, fork: Repository, target: Path
) -> None:
    """After a force-push, no branch has the pinned commit any more."""
    sha = fork.git("rev-parse", "HEAD")
    fork.git("reset", "--quiet", "--hard", "HEAD~1")
    url = f"file://{fork.path}"
    git.fetch_checkout(url, sha, target, upstream_url=upstream.url)
    assert head(target) == sha


def test_all_refs_are_fetched_if_the_server_refuses_single_commits(
    upstream: Repository,
    fork: Repository,
    target: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Older servers only give out commits by the name of a ref."""
    sha = fork.git("rev-parse", "HEAD")
    fork.git("update-ref", "refs/pull/1/head", fork.commit(compose_yml="five"))
    fork.git("reset", "--quiet", "--hard", "HEAD~2")
    (tmp_path / ".gitconfig").write_text("[protocol]\n\tversion = 0\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    git.fetch_checkout(f"file://{fork.path}", sha, target, upstream_url=upstream.url)
    assert head(target) == sha
    assert [tag.name for tag in git.version_tags(target)] == ["1.0.0+1"]


def test_a_missing_commit_is_reported_with_the_repository(
    upstream: Repository, fork: Repository, target: Path
) -> None:
    with pytest.raises(UsageError, match=f"commit {NOWHERE} is not in '{fork.url}'"):
        git.fetch_checkout(fork.url, NOWHERE, target, upstream_url=upstream.url)


def test_the_sha_of_a_tag_object_is_refused(upstream: Repository, target: Path) -> None:
    """Another sha than the requested one would be checked out."""
    with pytest.raises(UsageError, match="is not in"):
        git.fetch_checkout(upstream.url, upstream.git("rev-parse", "1.0.0+1"), target)


def test_a_missing_fork_is_an_infrastructure_problem(
    upstream: Repository, target: Path, tmp_path: Path
) -> None:
    with pytest.raises(InfraError, match=r"fetching from '.*/gone' failed"):
        git.fetch_checkout(str(tmp_path / "gone"), NOWHERE, target, upstream_url=upstream.url)


def test_a_fetch_that_times_out_is_an_infrastructure_problem(
    upstream: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:

    def hang(*words: object, **options: object) -> proc.Completed:
        raise TimedOut("still ran")

    monkeypatch.setattr(proc, "run", hang)
    with pytest.raises(InfraError, match="still ran"):
        git.resolve(upstream.url, None)


def test_tags_can_be_fetched_when_the_source_is_gone(upstream: Repository, target: Path) -> None:
    """`origin` is a copy on disk, because abra fetches tags and a mirror may need a login (J3)."""
    git.fetch_checkout(upstream.url, upstream.git("rev-parse", "HEAD"), target)
    upstream.path.rename(upstream.path.with_name("moved"))
    origin = git_repo.git(target, "remote", "get-url", "origin")
    assert Path(origin) == target.parent.parent / "mirrors" / "r.git"
    git_repo.git(target, "fetch", "--quiet", "--tags", "--force")


def test_a_second_fetch_replaces_the_first(upstream: Repository, target: Path) -> None:
    for _ in range(2):
        sha = upstream.git("rev-parse", "HEAD")
        git.fetch_checkout(upstream.url, sha, target)
        (target / "left").write_text("x")
    assert head(target) == sha


def test_a_checkout_moves_despite_local_changes(upstream: Repository, target: Path) -> None:
    """Changed files, overlays and ignored files must not reach the next commit (U4, U8)."""
    (upstream.path / ".gitignore").write_text("*.env\n")
    newest, base = upstream.commit(), upstream.git("rev-parse", "1.0.0+1^{commit}")
    git.fetch_checkout(upstream.url, newest, target)
    (target / "compose.yml").write_text("changed")
    (target / "compose.ci.yml").write_text("overlay")
    (target / "x.env").write_text("ignored")
    assert not is_clean(target)
    git.checkout(target, base)
    assert head(target) == base
    assert {path.name for path in target.iterdir()} == {".git", "compose.yml"}


def test_annotated_and_lightweight_tags_of_commits_are_listed(
    upstream: Repository, target: Path
) -> None:
    """Tags of files are not."""
    commit = upstream.git("rev-parse", "HEAD")
    upstream.git("tag", "1.1.0+2")
    upstream.git("tag", "--annotate", "--message", "x", "8.0.0+1", "HEAD:compose.yml")
    upstream.git("branch", "1.1.0+2")
    git.fetch_checkout(upstream.url, commit, target)
    assert git.version_tags(target) == [
        git.Tag("1.0.0+1", upstream.git("rev-parse", "HEAD~1"), annotated=True),
        git.Tag("1.1.0+2", commit, annotated=False),
    ]


def test_a_tag_with_the_name_of_a_branch_keeps_its_name(upstream: Repository) -> None:
    """Git shortens such a tag to `tags/…`, which is not a version."""
    upstream.git("branch", "1.0.0+1")
    assert [tag.name for tag in git.version_tags(upstream.path)] == ["1.0.0+1"]


@pytest.mark.parametrize("words", [("app.env",), ("keep", "app.env")])
def test_ignored_files_are_removed(
    upstream: Repository, target: Path, words: tuple[str, ...]
) -> None:
    """Including files that the commit's own .gitignore lists."""
    commit = upstream.commit(_gitignore="*.env\n")
    git.fetch_checkout(upstream.url, commit, target)
    left = target.joinpath(*words)
    left.parent.mkdir(exist_ok=True)
    left.write_text("left")
    git.checkout(target, commit)
    assert not left.exists() and is_clean(target)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_checkout_of_another_user_is_read(upstream: Repository, target: Path) -> None:
    """A runner may have created the folders as another user."""
    commit = upstream.git("rev-parse", "HEAD")
    git.fetch_checkout(upstream.url, commit, target)
    for path in (target, target / ".git"):
        os.chown(path, 12345, 12345)
    assert [tag.name for tag in git.version_tags(target)] == ["1.0.0+1"]
