"""Who is meant by an event that names no person: a condition that a profile alone can answer.

The event goes to everybody for whom the condition holds when their profile is looked at. So it may
not ask for what only an event knows (`event.*`, `context.*`, `changed_to`), nor count past events:
a segment does that. Whether a segment or persona that it names is in force is known only where the
profiles are: the job asks again, for a negation of one that is not there would mean everybody.
"""

from collections.abc import Iterator
from typing import Any

from shared.conditions.facts import of_profile
from shared.conditions.parse import read_condition
from shared.conditions.tree import Condition
from shared.errors import Problem

PATH = "audience"
RULE = "profile_only"


def read_audience(document: object, problems: list[Problem]) -> Condition | None:
    """The condition in a decoded JSON document.

    Adds to `problems`, with paths that start with `audience`, and returns None when it is none or
    asks for what a profile cannot answer.
    """
    found: list[Problem] = []
    condition = read_condition(document, found, path=PATH)
    if condition is not None:
        found = [Problem(path, RULE, message) for path, message in _unanswerable(document, PATH)]
    problems.extend(found)
    return None if found else condition


def _unanswerable(node: Any, path: str) -> Iterator[tuple[str, str]]:
    """What a profile cannot answer, in a document that is a condition: path and sentence."""
    match node:
        case {"all": parts} | {"any": parts}:
            kind = next(iter(node))
            for place, part in enumerate(parts):
                yield from _unanswerable(part, f"{path}.{kind}[{place}]")
        case {"not": part}:
            yield from _unanswerable(part, f"{path}.not")
        case {"attr": attr} if not of_profile(attr):
            yield f"{path}.attr", "an audience is asked about profiles: there is no event of theirs"
        case {"op": "changed_to"}:
            yield f"{path}.op", "nothing changes while an audience is asked"
        case _:
            pass
