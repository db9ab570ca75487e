"""Which attributes of conditions are personal: what masking hides from most roles.

For whom a condition holds tells what is hidden: letter by letter, `email starts_with "a"` finds an
address out. So who may not read personal data is shown neither a count nor a list by such a one.
"""

from collections.abc import Callable, Iterable, Iterator

from shared.access import Permission, roles_with
from shared.conditions.leaves import leaves_of
from shared.conditions.tree import Compare, Condition, EventCount
from shared.contracts.personal import NAMING, NO_PII
from shared.errors import Problem, Unprocessable
from shared.observability.masking import PERSONAL_KEYS

OF_GROUPS = ("id", "size")

ClassOf = Callable[[str], str | None]
"""The class of personal data that was declared for a trait, by its attribute (`profile.vip`,
`profile.computed.orders`); None where nobody said."""


def refuse_personal(conditions: Iterable[tuple[str, Condition]], class_of: ClassOf) -> None:
    """Raises Unprocessable when conditions, each with its path, ask for what masking hides."""
    refuse_attributes(attributes_in(conditions), class_of)


def attributes_in(conditions: Iterable[tuple[str, Condition]]) -> Iterator[tuple[str, str]]:
    """What conditions ask for, each with the condition's path."""
    for path, condition in conditions:
        for attr in _attributes(condition):
            yield path, attr


def refuse_attributes(asked: Iterable[tuple[str, str]], class_of: ClassOf) -> None:
    """Raises Unprocessable when one of the attributes, each with its path, is hidden by masking."""
    hidden = {(path, attr) for path, attr in asked if _is_personal(attr, class_of)}
    if not hidden:
        return
    roles = " or ".join(roles_with(Permission.READ_PERSONAL))
    problems = [
        Problem(path, "personal", f"to count by {attr[:100]} needs the role {roles}")
        for path, attr in sorted(hidden)
    ]
    raise Unprocessable("the condition asks for personal data that is hidden from you", problems)


def _attributes(condition: Condition) -> Iterator[str]:
    for leaf in leaves_of(condition):
        if isinstance(leaf, Compare):
            yield leaf.attr
        elif isinstance(leaf, EventCount) and leaf.where is not None:
            yield from _attributes(leaf.where)


def _is_personal(attr: str, class_of: ClassOf) -> bool:
    root, _, name = attr.partition(".")
    if root in ("household", "account"):
        return name not in OF_GROUPS
    if root == "profile":
        declared = class_of(attr)
        if declared is not None:
            return declared != NO_PII
        return name in NAMING
    return name.rpartition(".")[2] in PERSONAL_KEYS
