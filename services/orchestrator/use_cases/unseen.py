"""What somebody who sees personal data masked may not find out by letting Concert count."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from services.orchestrator.domain.journeys.lint import conditions_in
from services.orchestrator.domain.lint import conditions_of
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import parsed_journey, parsed_rule
from shared.conditions.audience import read_audience
from shared.conditions.tree import Condition
from shared.errors import Infrastructure, Problem, Unprocessable
from shared.observability.hidden import attributes_in, refuse_attributes
from shared.postgres.drafts import Body

_ATTRIBUTE = re.compile(r"(profile|household|account|event|context)\.[^\s{}]+")


class TraitClasses(Protocol):
    """Knows the classes of personal data of traits, by attribute. Raises Infrastructure."""

    async def trait_classes(self) -> Mapping[str, str | None]: ...


async def refuse_unseen(asked: Iterable[tuple[str, str]], definitions: TraitClasses) -> None:
    """Raises Unprocessable when one of the attributes, each with its path, is personal data; and
    Infrastructure when nobody says what is."""
    attributes = list(asked)
    if attributes:
        refuse_attributes(attributes, (await definitions.trait_classes()).get)


async def is_unseen(asked: Iterable[tuple[str, str]], definitions: TraitClasses) -> bool:
    """Whether one of the attributes is personal data; True as well when nobody says what is."""
    try:
        await refuse_unseen(asked, definitions)
    except (Unprocessable, Infrastructure):
        return True
    return False


def attributes_of_draft(kind: Kind, key: str, body: Body) -> list[tuple[str, str]]:
    """What a draft that can be rehearsed asks for, with the paths: in its conditions, and wherever
    else it names an attribute (`date_attr`, `locale`, `key`). Raises Unprocessable for a broken
    one."""
    return [*attributes_in(_conditions_of_draft(kind, key, body)), *_named(body, "")]


def _conditions_of_draft(kind: Kind, key: str, body: Body) -> list[tuple[str, Condition]]:
    match kind:
        case Kind.RULE:
            rule = parsed_rule(key, body)
            exits = [
                (f"exit_criteria[{place}]", one)
                for place, one in enumerate(rule.exit_criteria or ())
            ]
            return [*conditions_of(rule), *exits]
        case Kind.JOURNEY:
            return list(conditions_in(parsed_journey(key, body)))
        case Kind.CONTACT_POLICY | Kind.EXPERIMENT:
            return []


def _named(value: object, path: str) -> Iterator[tuple[str, str]]:
    """The texts that are names of attributes, but for those that conditions compare."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name != "attr":
                yield from _named(part, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from _named(part, f"{path}[{place}]")
    elif isinstance(value, str) and _ATTRIBUTE.fullmatch(value) is not None:
        yield path, value


def audience_of(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What an audience asks for. Raises Unprocessable when it is none."""
    problems: list[Problem] = []
    condition = read_audience(document, problems)
    if condition is None:
        raise Unprocessable("This is nobody's condition.", problems)
    return list(attributes_in([("audience", condition)]))
