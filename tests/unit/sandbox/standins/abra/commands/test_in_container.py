"""Finding the functions of an abra.sh."""

from __future__ import annotations

from sandbox.standins.abra.commands import in_container


def test_both_ways_to_write_a_shell_function_are_found() -> None:
    assert in_container.functions("a() {\n b\n}\nfunction c-d () {\n}\n# e() {\n") == ["a", "c-d"]
