"""Which conditions may be counted by somebody who sees personal data masked.

How many a condition holds for tells what is hidden: letter by letter, `email starts_with "a"` finds
an address out. So attributes that are personal are refused to such callers.
"""

from collections.abc import Iterator

from services.profile.domain.trait import NAMING, NO_PII, TraitsInForce
from shared.access import Permission, roles_with
from shared.conditions.leaves import leaves_of
from shared.conditions.tree import Compare, Condition, EventCount
from shared.errors import Problem, Unprocessable
from shared.observability.masking import PERSONAL_KEYS

OF_GROUPS = ("id", "size")


def refuse_personal(condition: Condition, registry: TraitsInForce) -> None:
    """Raises Unprocessable when a condition asks for what masking hides."""
    hidden = [attr for attr in _attributes(condition) if _is_personal(attr, registry)]
    if not hidden:
        return
    roles = " or ".join(roles_with(Permission.READ_PERSONAL))
    problems = [
        Problem("condition", "personal", f"to count by {attr[:100]} needs the role {roles}")
        for attr in sorted(set(hidden))
    ]
    raise Unprocessable("the condition asks for personal data that is hidden from you", problems)


def _attributes(condition: Condition) -> Iterator[str]:
    for leaf in leaves_of(condition):
        if isinstance(leaf, Compare):
            yield leaf.attr
        elif isinstance(leaf, EventCount) and leaf.where is not None:
            yield from _attributes(leaf.where)


def _is_personal(attr: str, registry: TraitsInForce) -> bool:
    root, _, name = attr.partition(".")
    if root in ("household", "account"):
        return name not in OF_GROUPS
    if root == "profile":
        computed = registry.computed.get(name.removeprefix("computed."))
        declared = computed.pii if computed is not None else registry.class_of(name)
        if declared is not None:
            return declared != NO_PII
        return name in NAMING
    return name.rpartition(".")[2] in PERSONAL_KEYS
