"""Tables for the terminal: a plain one, and the boxed one of `recipe lint`."""

from __future__ import annotations

MIN_LAST_COLUMN = 8  # characters that a narrow terminal leaves of a boxed table's last column


def plain(rows: list[dict[str, str]]) -> str:
    """Return rows as a table with the keys as its heading, "" without rows."""
    if not rows:
        return ""
    heads = list(rows[0])
    widths = [max(len(head), *(len(row[head]) for row in rows)) for head in heads]
    lines = [[head.upper() for head in heads], *([row[head] for head in heads] for row in rows)]
    return "\n".join(
        " │ ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        for line in lines
    )


def boxed(cells: list[list[str]], width: int) -> list[str]:
    """Return the lines of a table with a frame.

    Args:
        cells: the rows, the heading first.
        width: columns of the terminal; the last column of the table is cut to fit.
    """
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    spare = width - sum(w + 3 for w in widths[:-1]) - 4
    widths[-1] = max(min(widths[-1], spare), MIN_LAST_COLUMN)
    lines = ["┏" + "┳".join("━" * (w + 2) for w in widths) + "┓"]
    for number, row in enumerate(cells):
        texts = [_fit(text, w) for text, w in zip(row, widths, strict=True)]
        lines.append("┃ " + " ┃ ".join(texts) + " ┃")
        if number == 0:
            lines.append("┣" + "╋".join("━" * (w + 2) for w in widths) + "┫")
    return [*lines, "┗" + "┻".join("━" * (w + 2) for w in widths) + "┛"]


def _fit(text: str, width: int) -> str:
    return (text if len(text) <= width else text[: width - 1] + "…").ljust(width)
