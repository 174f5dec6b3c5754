"""Git against real repositories: exactly one commit, published tags, nothing of the recipe runs."""

import os
import random
import subprocess
from pathlib import Path

import pytest

from harness.errors import InfraError, RecipeFailure, TimedOut, UsageError
from harness.host import proc
from harness.recipe import git

WHO = ["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "tag.gpgSign=false"]
NOWHERE = "0" * 40


class Repository:
    """A repository on disk to fetch from."""

    def __init__(self, path: Path) -> None:
        """Make an empty one with branch main."""
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    @property
    def url(self) -> str:
        """How the harness is told to reach it."""
        return str(self.path)

    def git(self, *words: str) -> str:
        """Run git in it."""
        argv = ["git", *WHO, "-C", str(self.path), *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, **files: str) -> str:
        """Commit files, named with `_` for `.`, and return the full sha."""
        for name, text in files.items():
            (self.path / name.replace("_", ".")).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")
        return self.git("rev-parse", "HEAD")


def head(checkout: Path) -> str:
    """Return the full sha of a checkout."""
    return _output(checkout, "rev-parse", "HEAD")


def is_clean(checkout: Path) -> bool:
    """Return True if a checkout is exactly its commit, without untracked files."""
    return not _output(checkout, "status", "--porcelain", "--untracked-files=all")


def _output(checkout: Path, *words: str) -> str:
    argv = ["git", "-C", str(checkout), *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


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
    subprocess.run(["git", "clone", "--quiet", upstream.url, str(tmp_path / "fork")], check=True)
    repository = Repository.__new__(Repository)
    repository.path = tmp_path / "fork"
    repository.commit(compose_yml="three")
    return repository


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return where a run has its checkout."""
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
    """Branch names, short shas and stray line ends are none."""
    assert git.is_full_sha(text) is full


def test_a_branch_is_resolved_to_its_commit(upstream: Repository) -> None:
    """A name becomes the sha that is used from then on (incident U3)."""
    upstream.git("checkout", "--quiet", "-b", "pr")
    sha = upstream.commit(compose_yml="pr")
    assert git.resolve(upstream.url, "pr") == sha


def test_without_a_name_the_default_branch_counts(upstream: Repository) -> None:
    """The default branch is looked up, since it is main here and master there."""
    assert git.resolve(upstream.url, None) == upstream.git("rev-parse", "HEAD")


def test_a_branch_that_ends_in_the_same_words_is_not_taken(upstream: Repository) -> None:
    """`ls-remote` also lists refs that only end in what was asked for."""
    upstream.git("update-ref", "refs/a/refs/heads/pr", upstream.git("rev-parse", "HEAD~1"))
    with pytest.raises(UsageError, match="has no branch 'pr'"):
        git.resolve(upstream.url, "pr")


def test_a_repository_that_does_not_answer_is_our_trouble(tmp_path: Path) -> None:
    """A forge that is away is not the fault of who asked."""
    with pytest.raises(InfraError, match=r"reading HEAD of '.*/gone' failed"):
        git.resolve(str(tmp_path / "gone"), None)


@pytest.mark.parametrize("ref", ["main", "1.0.0+1", "abc123", "A" * 40, ""])
def test_a_ref_that_is_no_full_sha_is_refused(upstream: Repository, target: Path, ref: str) -> None:
    """A branch may move between the comment and the run (incident U3)."""
    with pytest.raises(UsageError) as caught:
        git.fetch_checkout(upstream.url, ref, target)
    assert str(caught.value) == f"REF is '{ref}', but must be a full commit sha (40 hex digits)"
    assert not target.exists()


def test_exactly_the_commit_is_checked_out(upstream: Repository, target: Path) -> None:
    """Not the branch's newest commit, but the wanted one, and clean."""
    wanted = upstream.git("rev-parse", "HEAD~1")
    git.fetch_checkout(upstream.url, wanted, target)
    assert head(target) == wanted
    assert (target / "compose.yml").read_text() == "one"
    assert is_clean(target)


def test_a_forks_commit_comes_with_the_published_tags(
    upstream: Repository, fork: Repository, target: Path
) -> None:
    """The commit is the pull request's, the versions are upstream's."""
    fork.git("tag", "--delete", "1.0.0+1")
    git.fetch_checkout(fork.url, fork.git("rev-parse", "HEAD"), target, upstream_url=upstream.url)
    assert (target / "compose.yml").read_text() == "three"
    assert [tag.name for tag in git.version_tags(target)] == ["1.0.0+1"]


def test_a_forks_tags_are_no_published_versions(
    upstream: Repository, fork: Repository, target: Path
) -> None:
    """A pull request cannot choose what it is upgraded from by pushing a tag."""
    fork.git("tag", "--annotate", "--message", "x", "9.9.9+9", "HEAD")
    fork.git("tag", "--annotate", "--message", "x", "9.9.8+9", "HEAD~1")
    fork.commit(compose_yml="four")
    git.fetch_checkout(fork.url, fork.git("rev-parse", "HEAD"), target, upstream_url=upstream.url)
    assert [tag.name for tag in git.version_tags(target)] == ["1.0.0+1"]


def test_a_commit_on_no_branch_is_fetched(
    upstream: Repository, fork: Repository, target: Path
) -> None:
    """After a force-push the pinned commit has no name any more."""
    sha = fork.git("rev-parse", "HEAD")
    fork.git("reset", "--quiet", "--hard", "HEAD~1")
    url = f"file://{fork.path}"
    git.fetch_checkout(url, sha, target, upstream_url=upstream.url)
    assert head(target) == sha


def test_where_single_commits_are_refused_everything_is_fetched(
    upstream: Repository,
    fork: Repository,
    target: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Older servers hand out named commits only; one below a pull request's ref is found anyway."""
    sha = fork.git("rev-parse", "HEAD")
    fork.git("update-ref", "refs/pull/1/head", fork.commit(compose_yml="five"))
    fork.git("reset", "--quiet", "--hard", "HEAD~2")
    (tmp_path / ".gitconfig").write_text("[protocol]\n\tversion = 0\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    git.fetch_checkout(f"file://{fork.path}", sha, target, upstream_url=upstream.url)
    assert head(target) == sha
    assert [tag.name for tag in git.version_tags(target)] == ["1.0.0+1"]


def test_a_commit_that_is_not_there_names_the_repository(
    upstream: Repository, fork: Repository, target: Path
) -> None:
    """Who asked for it reads where it was looked for."""
    with pytest.raises(UsageError, match=f"commit {NOWHERE} is not in '{fork.url}'"):
        git.fetch_checkout(fork.url, NOWHERE, target, upstream_url=upstream.url)


def test_the_sha_of_a_tag_object_is_no_commit(upstream: Repository, target: Path) -> None:
    """It would check out another sha than the one that was asked for."""
    with pytest.raises(UsageError, match="is not in"):
        git.fetch_checkout(upstream.url, upstream.git("rev-parse", "1.0.0+1"), target)


def test_a_source_that_does_not_answer_is_our_trouble(
    upstream: Repository, target: Path, tmp_path: Path
) -> None:
    """Neither the first nor the second attempt blames who asked."""
    with pytest.raises(InfraError, match=r"fetching from '.*/gone' failed"):
        git.fetch_checkout(str(tmp_path / "gone"), NOWHERE, target, upstream_url=upstream.url)


def test_a_fetch_that_takes_too_long_is_our_trouble(
    upstream: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forge that hangs is no finding about the recipe."""

    def hang(*words: object, **options: object) -> proc.Completed:
        raise TimedOut("still ran")

    monkeypatch.setattr(proc, "run", hang)
    with pytest.raises(InfraError, match="still ran"):
        git.resolve(upstream.url, None)


def test_tags_can_be_fetched_when_the_source_is_gone(upstream: Repository, target: Path) -> None:
    """`origin` is a copy on disk, since abra fetches tags and a mirror may want a login (J3)."""
    git.fetch_checkout(upstream.url, upstream.git("rev-parse", "HEAD"), target)
    upstream.path.rename(upstream.path.with_name("moved"))
    origin = subprocess.run(
        ["git", "-C", str(target), "remote", "get-url", "origin"], capture_output=True, text=True
    ).stdout.strip()
    assert Path(origin) == target.parent.parent / "mirrors" / "r.git"
    subprocess.run(["git", "-C", str(target), "fetch", "--quiet", "--tags", "--force"], check=True)


def test_a_second_fetch_starts_afresh(upstream: Repository, target: Path) -> None:
    """What an earlier attempt left is no trouble."""
    for _ in range(2):
        sha = upstream.git("rev-parse", "HEAD")
        git.fetch_checkout(upstream.url, sha, target)
        (target / "left").write_text("x")
    assert head(target) == sha


def test_no_hook_runs(
    upstream: Repository, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook that came into the checkout, or from the user's template, is not run."""
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
    """A source that begins with a dash is only a repository that does not exist."""
    with pytest.raises(InfraError):
        git.resolve(f"--upload-pack=touch {tmp_path}/ran", None)
    assert not (tmp_path / "ran").exists()


def test_git_carries_the_runs_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The janitor finds what a dead run left running by this one variable."""
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
    """A recipe cannot make the harness read the host's files, or turn in circles."""
    (upstream.path / name).symlink_to(leads)
    sha = upstream.commit()
    with pytest.raises(RecipeFailure, match=f"the link '{name}' of the recipe points to '{leads}'"):
        git.fetch_checkout(upstream.url, sha, target)


def test_a_link_within_the_checkout_is_fine(upstream: Repository, target: Path) -> None:
    """Recipes share files between their folders."""
    (upstream.path / "a.yml").symlink_to("compose.yml")
    git.fetch_checkout(upstream.url, upstream.commit(), target)
    assert (target / "a.yml").read_text() == "two"


def test_moving_to_another_commit_looks_for_links_too(upstream: Repository, target: Path) -> None:
    """The published version is no more trusted than the head."""
    (upstream.path / "a").symlink_to("/etc/passwd")
    bad = upstream.commit()
    (upstream.path / "a").unlink()
    git.fetch_checkout(upstream.url, upstream.commit(), target)
    with pytest.raises(RecipeFailure, match="points to"):
        git.checkout(target, bad)


def test_a_checkout_moves_whatever_lies_in_it(upstream: Repository, target: Path) -> None:
    """Changed files, overlays and ignored files do not reach the next commit (U4, U8)."""
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


def test_tags_say_what_they_point_to(upstream: Repository, target: Path) -> None:
    """Annotated and lightweight tags of commits are told apart; tags of files are left out."""
    commit = upstream.git("rev-parse", "HEAD")
    upstream.git("tag", "1.1.0+2")
    upstream.git("tag", "--annotate", "--message", "x", "8.0.0+1", "HEAD:compose.yml")
    upstream.git("branch", "1.1.0+2")
    git.fetch_checkout(upstream.url, commit, target)
    assert git.version_tags(target) == [
        git.Tag("1.0.0+1", upstream.git("rev-parse", "HEAD~1"), annotated=True),
        git.Tag("1.1.0+2", commit, annotated=False),
    ]


def test_a_tag_keeps_its_name_beside_a_branch_of_that_name(upstream: Repository) -> None:
    """Git shortens such a tag to `tags/…`, which is no version."""
    upstream.git("branch", "1.0.0+1")
    assert [tag.name for tag in git.version_tags(upstream.path)] == ["1.0.0+1"]


@pytest.mark.parametrize("words", [("app.env",), ("keep", "app.env")])
def test_ignored_files_do_not_stay(
    upstream: Repository, target: Path, words: tuple[str, ...]
) -> None:
    """What the commit itself says to ignore is removed as well, in folders too."""
    commit = upstream.commit(_gitignore="*.env\n")
    git.fetch_checkout(upstream.url, commit, target)
    left = target.joinpath(*words)
    left.parent.mkdir(exist_ok=True)
    left.write_text("left")
    git.checkout(target, commit)
    assert not left.exists() and is_clean(target)


def test_a_users_attributes_change_no_file(
    upstream: Repository, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Line ends of a checkout are those of the commit, whatever the user of this host prefers."""
    own = tmp_path / ".config" / "git"
    own.mkdir(parents=True)
    (own / "attributes").write_text("* text eol=crlf\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    git.fetch_checkout(upstream.url, upstream.commit(abra_sh="one\ntwo\n"), target)
    assert (target / "abra.sh").read_bytes() == b"one\ntwo\n"


def test_git_is_told_nothing_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repository of this environment is not meant, and a server has no business with our secrets."""
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
    """Trees that hold each other take for ever to be counted: the recipe is at fault, not we."""
    monkeypatch.setattr(git, "COUNT_TIMEOUT", 0.0)
    with pytest.raises(RecipeFailure, match="too many files: counting them took"):
        git.fetch_checkout(upstream.url, upstream.git("rev-parse", "HEAD"), target)


def test_a_repository_that_would_fill_the_disk_is_not_fetched(
    upstream: Repository, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file of it, a pack neither, may be larger than a bound."""
    monkeypatch.setattr(git, "MAX_WRITTEN_FILE", 50_000)
    (upstream.path / "big").write_bytes(random.Random(1).randbytes(200_000))
    upstream.commit()
    url = f"file://{upstream.path}"  # a path alone is linked, not fetched
    with pytest.raises(InfraError):
        git.fetch_checkout(url, upstream.git("rev-parse", "HEAD"), target)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_checkout_of_another_user_is_read(upstream: Repository, target: Path) -> None:
    """A runner may have made the folders under another user than who looks at them."""
    commit = upstream.git("rev-parse", "HEAD")
    git.fetch_checkout(upstream.url, commit, target)
    for path in (target, target / ".git"):
        os.chown(path, 12345, 12345)
    assert [tag.name for tag in git.version_tags(target)] == ["1.0.0+1"]
