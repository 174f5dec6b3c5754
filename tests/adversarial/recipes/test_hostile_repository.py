"""Hostile repositories: filters, submodules, odd names, too many or too large files."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import RecipeFailure
from harness.host import proc
from harness.recipe import git
from sandbox.standins.abra.files.abra_dir import AbraDir
from tests.adversarial.recipes.hostile import NAME, Recipe, run_at_commit
from tests.support import git_repo


def fetch(folder: Path, recipe: Recipe, ref: str) -> Path:
    """Fetch a commit like a run does; return its checkout."""
    return run_at_commit(folder, recipe, ref)[0].checkout_dir


def test_filters_and_hooks_do_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository must not start filters of the operator's own configuration."""
    pwned = tmp_path / "pwned"
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(
        f'[filter "lfs"]\n\tsmudge = touch {pwned}\n\tclean = touch {pwned}\n'
        f"[core]\n\tfsmonitor = touch {pwned}\n\thooksPath = {tmp_path}/hooks\n"
        f'[diff "x"]\n\ttextconv = touch {pwned}\n'
    )
    (tmp_path / "hooks").mkdir()
    hook = tmp_path / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {pwned}\n")
    hook.chmod(0o755)
    recipe = Recipe.make(tmp_path / "recipe")
    ref = recipe.commit({".gitattributes": "* filter=lfs diff=x\n", "big.bin": "x"})
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    checkout = fetch(tmp_path, recipe, ref)
    assert (checkout / "big.bin").read_text() == "x"
    standin = AbraDir(checkout.parent.parent).checkout(NAME)
    assert standin.chaos_version() == ref[:8]
    assert not pwned.exists()


def test_submodules_are_not_fetched(tmp_path: Path) -> None:
    """The recipe chooses their addresses: it could be a file of the host, or a command."""
    pwned = tmp_path / "pwned"
    recipe = Recipe.make(tmp_path / "recipe")
    modules = f'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "touch {pwned}"\n\tupdate = !touch {pwned}\n'
    first = recipe.commit({".gitmodules": modules})
    git_repo.git(recipe.folder, "update-index", "--add", "--cacheinfo", f"160000,{first},x")
    checkout = fetch(tmp_path, recipe, recipe.commit_index())
    assert list((checkout / "x").iterdir()) == []
    assert not pwned.exists()


@pytest.mark.parametrize("name", [".GIT", ".git\u200c", "git~1"])
def test_a_folder_that_some_file_systems_treat_as_git_is_refused(tmp_path: Path, name: str) -> None:
    recipe = Recipe.make(tmp_path / "recipe")
    recipe.commit({})
    blob = git_repo.git(recipe.folder, "hash-object", "-w", "--stdin", stdin="[core]\n")
    inner = git_repo.git(recipe.folder, "mktree", stdin=f"100644 blob {blob}\tconfig\n")
    tree = git_repo.git(recipe.folder, "mktree", stdin=f"040000 tree {inner}\t{name}\n")
    ref = git_repo.git(recipe.folder, "commit-tree", tree, "-m", "x")
    git_repo.git(recipe.folder, "update-ref", "refs/heads/main", ref)
    with pytest.raises(RecipeFailure, match="file systems treat as"):
        fetch(tmp_path, recipe, ref)


def test_a_tree_of_repeated_trees_is_refused_before_it_is_written(
    tmp_path: Path,
) -> None:
    """Four levels of eleven entries make 14,641 files from five small objects."""
    recipe = Recipe.make(tmp_path / "recipe")
    blob = git_repo.git(recipe.folder, "hash-object", "-w", "--stdin", stdin="x")
    entry = f"100644 blob {blob}"
    for _ in range(4):
        listed = "".join(f"{entry}\tf{n}\n" for n in range(11))
        entry = f"040000 tree {git_repo.git(recipe.folder, 'mktree', stdin=listed)}"
    ref = git_repo.git(recipe.folder, "commit-tree", entry.split()[-1], "-m", "x")
    git_repo.git(recipe.folder, "update-ref", "refs/heads/main", ref)
    with pytest.raises(
        RecipeFailure, match="the recipe has 14641 files; at most 10000 are allowed"
    ):
        fetch(tmp_path, recipe, ref)


def test_large_files_are_refused_before_they_are_written(tmp_path: Path) -> None:
    """100 MiB of zeros are a small git object."""
    recipe = Recipe.make(tmp_path / "recipe")
    with (recipe.folder / "big").open("wb") as file:
        file.truncate(101 * 1024 * 1024)
    ref = recipe.commit({})
    with pytest.raises(
        RecipeFailure, match="the recipe's files are 101 MiB in total; at most 100 MiB are allowed"
    ):
        fetch(tmp_path, recipe, ref)


@pytest.mark.parametrize(
    "name", ["1.0.0+\u2028x", "1.0.0+$(touch${IFS}x)", "1.0.0+`x`", "--upload-pack=x", "-d"]
)
def test_a_tag_with_an_odd_name_is_harmless(tmp_path: Path, name: str) -> None:
    """Its name never becomes an argument of a command."""
    recipe = Recipe.make(tmp_path / "recipe")
    first = recipe.commit({})
    git_repo.git(recipe.folder, "update-ref", f"refs/tags/{name}", first)
    run, _ = run_at_commit(tmp_path, recipe, recipe.commit({"x": "y"}))
    assert name in [tag.name for tag in git.version_tags(run.checkout_dir)]


def test_a_command_cannot_write_a_file_over_its_size_limit(tmp_path: Path) -> None:
    """So a repository cannot fill the disk while it is fetched."""
    words = ["sh", "-c", f"head -c 2000000 /dev/zero > {tmp_path}/big; echo ended"]
    done = proc.run(words, timeout=20, max_file_size=1_000_000, check=False)
    assert (tmp_path / "big").stat().st_size <= 1_000_000
    assert done.exit_code == 0 and "ended" in done.out
