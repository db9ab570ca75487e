"""Collects every mistake of a document, with its path, its rule and a sentence that helps.

The collector is bounded, whatever the document holds: it stops listing after `MAX_MISTAKES`.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from shared.errors import Problem

MAX_MISTAKES = 100
MAX_SHOWN = 60


class Mistakes:
    """The problems found so far, at most `MAX_MISTAKES` of them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    @property
    def full(self) -> bool:
        """Whether looking for more mistakes is in vain."""
        return len(self.problems) >= MAX_MISTAKES

    def add(self, path: str, rule: str, message: str) -> None:
        """Note one broken rule at a place of the document."""
        if not self.full:
            self.problems.append(Problem(path, rule, message))


def shown(value: object) -> str:
    """The value for a message: short, on one line, and never a whole document."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) >= 10**MAX_SHOWN:
        return "a very large number"
    text = value if isinstance(value, str) else str(value)
    cut = text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
    printable = "".join(letter if letter.isprintable() else "�" for letter in cut)
    return f'"{printable}"' if isinstance(value, str) else printable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?` for the closest known word, or nothing."""
    close = get_close_matches(word[:MAX_SHOWN].lower(), list(known), n=1, cutoff=0.6)
    return f' Did you mean "{close[0]}"?' if close else ""
