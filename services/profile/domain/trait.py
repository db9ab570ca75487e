"""Traits as people declare them: read from JSON, with every mistake named.

A declared trait is what sources say of a person: its type, its class of personal data, and the
policy by which one of several values survives. A computed trait is derived from touchpoints.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, get_args

from services.profile.domain.survivorship import MAX_NAME
from shared.conditions.document import Fields
from shared.conditions.duration import parse_duration
from shared.conditions.mistakes import Mistakes, shown
from shared.conditions.operands import read_attribute
from shared.conditions.parse import read_condition
from shared.conditions.trait_types import TraitType
from shared.conditions.tree import Condition, EventCount
from shared.contracts.personal import NAMING, NO_PII
from shared.errors import Unprocessable

Policy = Literal["latest", "source_priority", "first", "highest", "lowest", "most_frequent"]
Aggregate = Literal[
    "count",
    "sum",
    "min",
    "max",
    "average",
    "first",
    "last",
    "most_frequent",
    "distinct_count",
    "days_since",
]

TYPES: tuple[TraitType, ...] = get_args(TraitType)
POLICIES: tuple[Policy, ...] = get_args(Policy)
AGGREGATES: tuple[Aggregate, ...] = get_args(Aggregate)
ORDERED_TYPES = ("integer", "decimal", "date", "time")
"""Types of which there is a highest and a lowest value."""
NUMERIC: tuple[Aggregate, ...] = ("sum", "min", "max", "average")
"""Aggregates of numbers; what `of` finds otherwise is passed over."""

BUILT_IN = ("touchpoints", "orders", "revenue", "first_seen_at", "last_seen_at")
"""Computed traits that are there without being declared."""
STANDARD = (
    *("first_name", "last_name", "email", "phone", "birthday", "street", "street_number"),
    *("address_2", "city", "postal_code", "state", "country", "national_id", "locale", "timezone"),
)
"""Traits that every channel calls the same; they need no declaration, and may have one."""

SENSITIVE = "sensitive"
"""The class of personal data that is hidden as a whole."""

MAX_SOURCES = 100
MAX_WINDOW = timedelta(days=3650)
_PII = re.compile(r"[a-z][a-z0-9_]{0,31}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_ELSEWHERE = ("computed", "traits", "segments", "persona", "consents")
_DECLARED = ("key", "name", "description", "type", "pii", "policy", "sources")
_COMPUTED = ("event", "where", "aggregate", "of", "within")
_WITHOUT_OF = ("count", "days_since")
_MAY_LACK_OF = (*_WITHOUT_OF, "first", "last")


@dataclass(frozen=True, slots=True)
class DeclaredTrait:
    """A trait that sources state. `pii` is the class of personal data, None where nobody said;
    `sources` are the ones that `source_priority` believes, the most trusted first."""

    key: str
    name: str
    type: TraitType
    policy: Policy = "latest"
    sources: tuple[str, ...] = ()
    pii: str | None = None


@dataclass(frozen=True, slots=True)
class ComputedTrait:
    """A trait derived from touchpoints of type `event` for which `where` holds; `of` is the
    attribute that is aggregated, `within` the window that slides with time."""

    key: str
    name: str
    event: str
    aggregate: Aggregate
    where: Condition | None = None
    of: str | None = None
    within: timedelta | None = None
    pii: str | None = None


Trait = DeclaredTrait | ComputedTrait


@dataclass(frozen=True, slots=True)
class TraitsInForce:
    """The traits that people defined and that are in force, by name."""

    declared: Mapping[str, DeclaredTrait] = field(default_factory=dict)
    computed: Mapping[str, ComputedTrait] = field(default_factory=dict)

    @classmethod
    def of(cls, traits: Iterable[Trait]) -> "TraitsInForce":
        """These."""
        listed = list(traits)
        return cls(
            {one.name: one for one in listed if isinstance(one, DeclaredTrait)},
            {one.name: one for one in listed if isinstance(one, ComputedTrait)},
        )

    def class_of(self, name: str) -> str | None:
        """The class of personal data that was declared for a trait; None where nobody said."""
        declared = self.declared.get(name)
        return None if declared is None else declared.pii

    def class_of_attribute(self, attr: str) -> str | None:
        """The same for an attribute of conditions, of computed traits too."""
        name = attr.removeprefix("profile.")
        computed = self.computed.get(name.removeprefix("computed."))
        return self.class_of(name) if computed is None else computed.pii


def parse_trait(document: Mapping[str, object], *, key: str) -> Trait:
    """The trait in a document. Raises Unprocessable with every mistake."""
    mistakes = Mistakes()
    computed = document.get("computed") is not None
    known = ("key", "name", "description", "pii", "computed") if computed else _DECLARED
    fields = Fields(mistakes, document, "", (*known, "computed"))
    fields.same_key(key)
    fields.text("description", limit=1_000)
    pii = fields.text("pii")
    if pii is not None and _PII.fullmatch(pii) is None:
        fields.wrong("pii", "pattern", "is a word of lower-case letters, such as none or personal")
    trait = _computed(fields, key, pii) if computed else _declared(fields, key, pii)
    if trait is not None and pii == NO_PII and _says_who(trait):
        fields.wrong("pii", "personal", "cannot be none: this says who somebody is")
    if mistakes.problems or trait is None:
        raise Unprocessable(f"trait {key} breaks rules", mistakes.problems)
    return trait


def _says_who(trait: Trait) -> bool:
    if isinstance(trait, DeclaredTrait):
        return trait.name in NAMING
    return trait.of is not None and trait.of.rpartition(".")[2] in NAMING


def _declared(fields: Fields, key: str, pii: str | None) -> Trait | None:
    name = fields.text("name", limit=MAX_NAME) or key
    if "." in name or name.startswith("$") or name in _ELSEWHERE:
        message = f"{shown(name)} cannot be asked for as profile.<name> in conditions"
        fields.wrong("name", "trait_name", message)
    fields.required("type")
    type_ = fields.choice("type", TYPES, "string")
    policy = fields.choice("policy", POLICIES, "latest")
    if policy in ("highest", "lowest") and type_ not in ORDERED_TYPES:
        message = f"a {type_} has no {policy} value; {', '.join(ORDERED_TYPES)} have"
        fields.wrong("policy", "policy_type", message)
    sources = tuple(_sources(fields))
    if policy == "source_priority" and not sources:
        fields.wrong("sources", "required", "name the sources, the most trusted first")
    if policy != "source_priority" and fields.has("sources"):
        fields.wrong("sources", "policy_type", 'only "source_priority" goes by sources')
    return DeclaredTrait(
        key,
        name,
        next(one for one in TYPES if one == type_),
        next(one for one in POLICIES if one == policy),
        sources,
        pii,
    )


def _sources(fields: Fields) -> list[str]:
    found: list[str] = []
    for path, value in fields.items("sources", MAX_SOURCES):
        if not isinstance(value, str) or not 0 < len(value) <= 256:
            fields.mistakes.add(path, "type", "must be the id of a source")
        elif value in found:
            fields.mistakes.add(path, "unique", f"{shown(value)} is named twice")
        else:
            found.append(value)
    return found


def _computed(outer: Fields, key: str, pii: str | None) -> Trait | None:
    mistakes = outer.mistakes
    name = outer.text("name", limit=MAX_NAME) or key
    if _NAME.fullmatch(name) is None or name in BUILT_IN:
        because = "is built in" if name in BUILT_IN else "is letters, digits and _, at most 64"
        outer.wrong("name", "trait_name", f"{shown(name)}: the name of a computed trait {because}")
    fields = Fields(mistakes, outer.value("computed"), "computed", _COMPUTED)
    fields.required("event")
    event = fields.text("event")
    fields.required("aggregate")
    aggregate = fields.choice("aggregate", AGGREGATES, "count")
    where = _where(fields)
    if event is None or fields.value("aggregate") not in AGGREGATES:
        return None
    of = _of(fields, aggregate)
    within = _within(fields, aggregate)
    chosen = next(one for one in AGGREGATES if one == aggregate)
    return ComputedTrait(key, name, event, chosen, where, of, within, pii)


def _where(fields: Fields) -> Condition | None:
    value = fields.value("where")
    if value is None:
        return None
    path = fields.path
    found = read_condition({"event": "x", "where": value}, fields.mistakes.problems, path=path,
                           allow_event_leaves=True)  # fmt: skip
    return found.where if isinstance(found, EventCount) else None


def _of(fields: Fields, aggregate: str) -> str | None:
    value = fields.value("of")
    if aggregate in _WITHOUT_OF:
        if value is not None:
            fields.wrong("of", "aggregate", f'"{aggregate}" is about touchpoints, not a value')
        return None
    if value is None:
        if aggregate not in _MAY_LACK_OF:
            fields.wrong("of", "required", f'"{aggregate}" needs an attribute, such as event.total')
        return None
    of = read_attribute(fields.mistakes, fields.place("of"), value)
    if of is not None and of.startswith("profile."):
        fields.wrong("of", "event_where", "a past event knows only event and context")
    return of


def _within(fields: Fields, aggregate: str) -> timedelta | None:
    value = fields.value("within")
    if value is None:
        return None
    if aggregate == "days_since":
        fields.wrong("within", "aggregate", '"days_since" looks at the last touchpoint of all')
        return None
    length = parse_duration(value) if isinstance(value, str) else None
    if length is None:
        fields.wrong("within", "duration", f"{shown(value)} is no ISO 8601 duration such as P30D")
    elif length > MAX_WINDOW:
        fields.wrong("within", "duration", f"must be at most {MAX_WINDOW.days} days")
    return length
