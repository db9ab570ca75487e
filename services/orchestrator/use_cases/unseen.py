"""What somebody who sees personal data masked may not find out by letting Concert count."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from services.orchestrator.domain.journeys.lint import conditions_in
from services.orchestrator.domain.lint import conditions_of
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import parsed_journey, parsed_rule
from shared.conditions.audience import read_audience
from shared.conditions.tree import Condition
from shared.errors import Problem, Unprocessable
from shared.observability.hidden import refuse_personal
from shared.postgres.drafts import Body


class TraitClasses(Protocol):
    """Knows the classes of personal data of traits, by attribute. Raises Infrastructure."""

    async def trait_classes(self) -> Mapping[str, str | None]: ...


async def refuse_unseen(
    conditions: Iterable[tuple[str, Condition]], definitions: TraitClasses
) -> None:
    """Raises Unprocessable when conditions, each with its path, ask for personal data; and
    Infrastructure when nobody says what is."""
    asked = list(conditions)
    if asked:
        refuse_personal(asked, (await definitions.trait_classes()).get)


def conditions_of_draft(kind: Kind, key: str, body: Body) -> list[tuple[str, Condition]]:
    """All conditions of a draft that can be rehearsed, with their paths. Raises Unprocessable for
    one that is broken."""
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


def audience_of(document: Mapping[str, Any]) -> list[tuple[str, Condition]]:
    """The condition of an audience. Raises Unprocessable when it is none."""
    problems: list[Problem] = []
    condition = read_audience(document, problems)
    if condition is None:
        raise Unprocessable("This is nobody's condition.", problems)
    return [("audience", condition)]
