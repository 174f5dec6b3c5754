"""A recipe's `abra.sh`: what of it would run if a shell on this host read it.

abra reads its `export` lines and hands its functions to containers; whether some version of abra lets
a shell on the host read the file as root is not sure. So beside comments it may only export plain
values and define functions: then reading it does nothing. bash itself takes the file apart
(`--pretty-print` parses and runs nothing, measured with 5.2), since a parser of our own would be
fooled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from harness.errors import InfraError
from harness.host import proc
from harness.recipe.env_sample import RESERVED_NAMES
from harness.recipe.limits import MAX_FILE_SIZE

BASH_TIMEOUT = 10.0  # seconds for one reading
MAX_PARSE_ATTEMPTS = (
    500  # readings of pieces; one for each function, one more for each '}' in its texts
)
VALUE = r"""(?:[\w./:,@%+=-]*|'[^'`]*'|"[^"`$\\!]*")"""
ASSIGNMENT = re.compile(rf"(?:export )?[A-Za-z_]\w*={VALUE}(?: [A-Za-z_]\w*={VALUE})*;?")
PAIR = re.compile(rf" ([A-Za-z_]\w*)=({VALUE})(?= |;|$)")
STRICTER = re.compile(r"set(?: -[eu]+| -[eu]*o pipefail)+;?")
HEADER = re.compile(r"(?:function )?(?P<name>[\w:.-]+) \(\) ?")
EXPORT = re.compile(r"^export[ \t]+(?P<key>\w+)=(?P<value>\"[^\"]*\"|'[^']*'|\S*)", re.MULTILINE)
APP_KEYS = frozenset({"COMPOSE_FILE", "DOMAIN", "TYPE", "RECIPE"})  # of the app's env file
# What a reader of the file may call afterwards, so that a function of that name would run.
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
    """Return what abra.sh does besides exporting plain values and defining functions, "" for nothing.

    Raises:
        InfraError: this host has no bash that can take a file apart.
    """
    path = checkout / "abra.sh"
    if not path.is_file():
        return "is no file" if path.exists() else ""
    data = path.read_bytes()[: MAX_FILE_SIZE + 1]
    if len(data) > MAX_FILE_SIZE:
        return "is larger than 1 MiB"
    strange = re.search(rb"[^\t\n\x20-\x7e\x80-\xff]", data)
    if strange:
        line = data[: strange.start()].count(b"\n") + 1
        return (
            f"line {line} holds the control character {strange[0]!r}, so readers disagree about it"
        )
    done = _bash("--pretty-print", str(path))
    if done.exit_code != 0:
        said = (done.err.strip().splitlines() or ["no reason given"])[0]
        if "invalid option" in said:
            raise InfraError(
                "this host's bash knows no --pretty-print; bash 5.2 or later is needed"
            )
        return f"is not readable as shell: {said.rpartition(str(path))[2].strip(': ')}"
    return _top_level(done.out.split("\n"), exports(checkout))


def exports(checkout: Path) -> dict[str, str]:
    """Return the variables that abra.sh exports; the file is read, never run."""
    try:
        text = (checkout / "abra.sh").read_text(errors="replace")[:MAX_FILE_SIZE]
    except OSError:
        return {}
    return {m["key"]: m["value"].strip("'\"") for m in EXPORT.finditer(text)}


def _top_level(lines: Sequence[str], read: dict[str, str]) -> str:
    """Judge the commands that stand outside of functions, line by line as bash prints them.

    read: the exports as they are read without a shell.
    """
    found: dict[str, str] = {}
    tries = at = 0
    while at < len(lines):
        line = lines[at]
        header = HEADER.fullmatch(line)
        if not line.strip() or STRICTER.fullmatch(line):
            at += 1
        elif ASSIGNMENT.fullmatch(line):
            pairs = PAIR.findall(f" {line.removesuffix(';').removeprefix('export ')}")
            wrong = next((said for key, value in pairs if (said := _set(key, value))), "")
            if wrong:
                return wrong
            found |= dict(pairs if line.startswith("export ") else ())
            at += 1
        elif header and lines[at + 1 : at + 2] == ["{ "]:
            if header["name"] in RESERVED_FUNCTIONS:
                return f"defines '{header['name']}', which is a command that its reader may call"
            end, used = _end(lines, at, MAX_PARSE_ATTEMPTS - tries)
            if end is None:
                return f"has a function '{header['name']}' whose end is not a line of its own"
            tries, at = tries + used, end + 1
        else:
            return f"runs '{line.strip()[:100]}'"
    return _compared({key: value.strip("'\"") for key, value in found.items()}, read)


def _set(key: str, value: str) -> str:
    if RESERVED_NAMES.fullmatch(key) or key in APP_KEYS:
        return f"sets {key}, which is not the recipe's to set"
    return f"sets {key} from a command" if "$(" in value else ""


def _compared(found: dict[str, str], read: dict[str, str]) -> str:
    """Return the export that a shell and a reader of lines would take for different values."""
    for key in sorted(found.keys() | read.keys()):
        if found.get(key) != read.get(key):
            return (
                f"exports {key} in a way that readers disagree about; write one line "
                f"'export {key}=value' at its very start, outside of functions"
            )
    return ""


def _end(lines: Sequence[str], start: int, most: int) -> tuple[int | None, int]:
    """Return the last line of the function that starts here, None where it ends oddly; and the tries.

    A text within a function may hold a '}' at the start of a line too, so bash is asked whether all is
    closed there; the first place where it is, is the function's end.
    """
    tries = 0
    for at in range(start + 2, len(lines)):
        if lines[at].startswith("}"):
            tries += 1
            if tries > most:
                break
            piece = "\n".join(lines[start : at + 1]) + "\n"
            if (
                _bash("-n", "/dev/stdin", stdin=piece.encode("utf-8", "surrogateescape")).exit_code
                == 0
            ):
                return (at if lines[at] == "}" else None), tries
    return None, tries


def _bash(*words: str, stdin: bytes | None = None) -> proc.Completed:
    """Let bash parse something; it reads no start-up file and runs nothing."""
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/run/current-system/sw/bin", "LC_ALL": "C.UTF-8"}
    argv = ["bash", "--norc", "--noprofile", *words]
    return proc.run(argv, timeout=BASH_TIMEOUT, env=env, stdin=stdin, check=False)
