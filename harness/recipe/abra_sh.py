"""A recipe's `abra.sh`: its exports, and commands that would run if a shell on this host sourced it.

abra reads its `export` lines and runs its functions in containers. Some versions of abra may source
the file as root on the host. So apart from comments it may only export plain values and define
functions; then sourcing it does nothing. bash itself parses the file (`--pretty-print` parses and runs
nothing, measured with 5.2), because a parser of our own could be tricked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from harness.errors import InfraError
from harness.host import proc
from harness.recipe.env_sample import RESERVED_NAMES
from harness.recipe.limits import MAX_FILE_SIZE

BASH_TIMEOUT = 10.0  # seconds for one call of bash
# Calls of bash to find the ends of functions: one for each function, one more for each line in it that
# starts with '}'.
MAX_PARSE_ATTEMPTS = 500
VALUE = r"""(?:[\w./:,@%+=-]*|'[^'`]*'|"[^"`$\\!]*")"""
ASSIGNMENT = re.compile(rf"(?:export )?[A-Za-z_]\w*={VALUE}(?: [A-Za-z_]\w*={VALUE})*;?")
PAIR = re.compile(rf" ([A-Za-z_]\w*)=({VALUE})(?= |;|$)")
STRICT_MODE = re.compile(r"set(?: -[eu]+| -[eu]*o pipefail)+;?")
HEADER = re.compile(r"(?:function )?(?P<name>[\w:.-]+) \(\) ?")
EXPORT = re.compile(r"^export[ \t]+(?P<key>\w+)=(?P<value>\"[^\"]*\"|'[^']*'|\S*)", re.MULTILINE)
APP_KEYS = frozenset({"COMPOSE_FILE", "DOMAIN", "TYPE", "RECIPE"})  # of the app's env file
# Commands that a program may call after sourcing the file; a function of that name would run instead.
CALLED_COMMANDS = """
    . : [ abra alias awk bash bg bind break builtin caller cat cd command
    command_not_found_handle compgen complete compopt continue cut declare dirs disown docker
    echo enable env eval exec exit export false fc fg getopts git grep hash head help history
    jobs kill let local logout ls mapfile popd printenv printf pushd pwd read readarray
    readonly return sed set sh shift shopt sleep sort source sudo suspend tail test times tr
    trap true type typeset ulimit umask unalias unset wait
"""
RESERVED_FUNCTIONS = frozenset(CALLED_COMMANDS.split())


def problem(checkout: Path) -> str:
    """Return what abra.sh does apart from exporting plain values and defining functions, "" for nothing.

    Raises:
        InfraError: the bash of this host is too old to parse the file.
    """
    path = checkout / "abra.sh"
    if not path.is_file():
        return "is not a file" if path.exists() else ""
    data = path.read_bytes()[: MAX_FILE_SIZE + 1]
    if len(data) > MAX_FILE_SIZE:
        return "is larger than 1 MiB"
    control = re.search(rb"[^\t\n\x20-\x7e\x80-\xff]", data)
    if control:
        line = data[: control.start()].count(b"\n") + 1
        return (
            f"line {line} has the control character {control[0]!r}, which programs read differently"
        )
    done = _bash("--pretty-print", str(path))
    if done.exit_code != 0:
        error = (done.err.strip().splitlines() or ["no reason given"])[0]
        if "invalid option" in error:
            raise InfraError(
                "bash on this host does not support --pretty-print; install bash 5.2 or later"
            )
        return f"is not valid shell: {error.rpartition(str(path))[2].strip(': ')}"
    return _top_level(done.out.split("\n"), exports(checkout))


def exports(checkout: Path) -> dict[str, str]:
    """Return the variables that abra.sh exports; the file is read, not run."""
    try:
        text = (checkout / "abra.sh").read_text(errors="replace")[:MAX_FILE_SIZE]
    except OSError:
        return {}
    return {m["key"]: m["value"].strip("'\"") for m in EXPORT.finditer(text)}


def _top_level(lines: Sequence[str], read: dict[str, str]) -> str:
    """Check the commands outside of functions, one line each as bash prints them.

    Args:
        lines: the output of `bash --pretty-print`.
        read: the exports that were read from the file without a shell.
    """
    found: dict[str, str] = {}
    tries = at = 0
    while at < len(lines):
        line = lines[at]
        header = HEADER.fullmatch(line)
        if not line.strip() or STRICT_MODE.fullmatch(line):
            at += 1
        elif ASSIGNMENT.fullmatch(line):
            pairs = PAIR.findall(f" {line.removesuffix(';').removeprefix('export ')}")
            wrong = next(
                (text for key, value in pairs if (text := _bad_assignment(key, value))), ""
            )
            if wrong:
                return wrong
            found |= dict(pairs if line.startswith("export ") else ())
            at += 1
        elif header and lines[at + 1 : at + 2] == ["{ "]:
            if header["name"] in RESERVED_FUNCTIONS:
                return f"defines a function '{header['name']}', which is the name of a command"
            end, used = _end(lines, at, MAX_PARSE_ATTEMPTS - tries)
            if end is None:
                return f"has a function '{header['name']}' that does not end with a line '}}'"
            tries, at = tries + used, end + 1
        else:
            return f"runs the command '{line.strip()[:100]}'"
    return _ambiguous_export({key: value.strip("'\"") for key, value in found.items()}, read)


def _bad_assignment(key: str, value: str) -> str:
    if RESERVED_NAMES.fullmatch(key) or key in APP_KEYS:
        return f"sets {key}, which a recipe may not set"
    return f"sets {key} from a command" if "$(" in value else ""


def _ambiguous_export(found: dict[str, str], read: dict[str, str]) -> str:
    """Return the first export whose value a shell and a line-by-line parser read differently."""
    for key in sorted(found.keys() | read.keys()):
        if found.get(key) != read.get(key):
            return (
                f"exports {key} in a way that abra and a shell may read differently; write one line "
                f"'export {key}=value' without indentation, outside of functions"
            )
    return ""


def _end(lines: Sequence[str], start: int, max_tries: int) -> tuple[int | None, int]:
    """Return the last line of the function at `start` (None if not found), and the calls of bash.

    A string in a function may also have a line that starts with '}'. So bash checks for each such line
    whether the function is complete there; the first such line is its end.
    """
    tries = 0
    for at in range(start + 2, len(lines)):
        if lines[at].startswith("}"):
            tries += 1
            if tries > max_tries:
                break
            piece = "\n".join(lines[start : at + 1]) + "\n"
            if (
                _bash("-n", "/dev/stdin", stdin=piece.encode("utf-8", "surrogateescape")).exit_code
                == 0
            ):
                return (at if lines[at] == "}" else None), tries
    return None, tries


def _bash(*words: str, stdin: bytes | None = None) -> proc.Completed:
    """Let bash parse a file; it reads no start-up files and runs nothing."""
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/run/current-system/sw/bin", "LC_ALL": "C.UTF-8"}
    argv = ["bash", "--norc", "--noprofile", *words]
    return proc.run(argv, timeout=BASH_TIMEOUT, env=env, stdin=stdin, check=False)
