"""Plain text tables for a terminal of about a hundred columns."""

import textwrap
from collections.abc import Sequence

GAP = "  "


def table(head: Sequence[str], widths: Sequence[int], rows: Sequence[Sequence[str]]) -> str:
    """A table; text longer than its column (`widths` in characters) goes on below."""
    lines = [_line(head, widths), GAP.join("─" * width for width in widths)]
    for row in rows:
        cells = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        height = max(map(len, cells))
        for place in range(height):
            parts = [cell[place] if place < len(cell) else "" for cell in cells]
            lines.append(_line(parts, widths))
    return "\n".join(lines)


def _line(parts: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(p.ljust(w) for p, w in zip(parts, widths, strict=True)).rstrip()


def _wrapped(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for paragraph in text.splitlines():
        lines += textwrap.wrap(paragraph, width, break_on_hyphens=False) or [""]
    return lines or [""]
