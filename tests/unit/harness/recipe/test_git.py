"""Git with real repositories: exactly one commit and the published tags; nothing of the recipe runs."""

import os
import random
from pathlib import Path

import pytest

from harness.errors import InfraError, RecipeFailure, TimedOut, UsageError
from harness.host import proc
from harness.recipe import git
from tests.support import git_repo

NOWHERE = "0" * 40


class Repository:
    """A git repository to fetch from."""

    def __init__(self, path: Path) -> None:
        """Make an empty one with branch main."""
        self.path = git_repo.init(path)

    @property
    def url(self) -> str:
        """Its address."""
        return str(self.path)

    def git(self, *words: str) -> str:
        """Run git in it."""
        return git_repo.git(self.path, *words)

    def commit(self, **files: str) -> str:
        """Commit files, named with `_` for `.`, and return the full sha."""
        named = {name.replace("_", "."): text for name, text in files.items()}
        return git_repo.commit(self.path, named, "x")


def head(checkout: Path) -> str:
    """Return the full sha of a checkout."""
    return git_repo.git(checkout, "rev-parse", "HEAD")


def is_clean(checkout: Path) -> bool:
    """Return True if a checkout is exactly its commit, without untracked files."""
    return not git_repo.git(checkout, "status", "--porcelain", "--untracked-files=all")


@pytest.fixture
def upstream(tmp_path: Path) -> Repository:
    """Return a recipe's repository with a published version and a newer commit."""
    repository = Repository(tmp_path / "upstream")
    repository.commit(compose_yml="one")
    repository.git("tag", "--annotate", "--message", "x", "1.0.0+1")
    repository.commit(compose_yml="two")
    return repository


@pytest.fixture
def fork(tmp_path: Path, upstream: Repository) -> Repository:
    """Return a fork with one more commit, as a pull request has."""
    git_repo.git(tmp_path, "clone", "--quiet", upstream.url, str(tmp_path / "fork"))
    repository = Repository.__new__(Repository)
    repository.path = tmp_path / "fork"
    repository.commit(compose_yml="three")
    return repository


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The folder of a run's checkout."""
    return tmp_path / "run" / "abra" / "recipes" / "r"


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
    ("name", "leads"),
    [("abra.sh", "/etc/passwd"), ("a", "../.."), ("b", "b"), ("c", ".git/config")],
)
def test_a_link_out_of_the_checkout_is_refused(
    upstream: Repository, target: Path, name: str, leads: str
) -> None:
    """A recipe must not make the harness read files of the host, or loop."""
    (upstream.path / name).symlink_to(leads)
    sha = upstream.commit()
    with pytest.raises(RecipeFailure, match=f"the link '{name}' of the recipe points to '{leads}'"):
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_checkout_of_another_user_is_read(upstream: Repository, target: Path) -> None:
    """A runner may have created the folders as another user."""
    commit = upstream.git("rev-parse", "HEAD")
    git.fetch_checkout(upstream.url, commit, target)
    for path in (target, target / ".git"):
        os.chown(path, 12345, 12345)
    assert [tag.name for tag in git.version_tags(target)] == ["1.0.0+1"]
