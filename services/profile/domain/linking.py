"""What the linker compares: the facts of a person, the likenesses it knows, and where it looks.

Two profiles are compared trait by trait; how alike each trait is counts for or against one person
(Fellegi and Sunter's model, fitted by Splink). Only pairs that share a block are looked at. This
module is the plan alone; `storage.link_engine` carries it out.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from services.profile.domain.identity import SHARED_PREFIX
from services.profile.domain.profile import StoredProfile, observations, overlaid
from services.profile.domain.survivorship import TraitPolicy, survivors

MAX_TEXT = 100
"""Characters of a value that are compared."""
MIN_TO_TRAIN = 300
"""Fewer people say too little about how common a likeness is; the start values are used then."""
START_PRIOR = 0.001
"""How likely two people are the same before anything is compared, where nothing was counted."""

Kind = Literal["equal", "close", "alike", "one_edit", "two_edits", "same_user", "swapped", "other"]


class Level(NamedTuple):
    """A degree of likeness, its words, and how often it is seen among pairs of the same person
    (`m`) and of two people (`u`) before the data has said so."""

    kind: Kind
    words: str
    m: float
    u: float


class Comparison(NamedTuple):
    """How one trait is compared: `levels` from the most alike to `other`.

    `by_frequency`: an equal rare value says more than an equal common one. `swapped_with`: the
    trait that this one is mixed up with.
    """

    column: str
    label: str
    levels: tuple[Level, ...]
    by_frequency: bool = True
    swapped_with: str | None = None


class Block(NamedTuple):
    """Pairs that are looked at: those who agree in all `keys`, each an expression over columns."""

    words: str
    keys: tuple[str, ...]


class Feature(msgspec.Struct, frozen=True):
    """What one trait said of a pair. `weight` is in bits: +1 doubles the odds of one person."""

    trait: str
    words: str
    weight: float


_NAME = (
    Level("equal", "equal", 0.80, 0.005),
    Level("close", "nearly equal", 0.08, 0.002),
    Level("alike", "similar", 0.04, 0.01),
    Level("swapped", "", 0.03, 0.001),
    Level("other", "different", 0.05, 0.982),
)
_TEXT = (
    Level("equal", "equal", 0.75, 0.005),
    Level("close", "nearly equal", 0.10, 0.003),
    Level("alike", "similar", 0.05, 0.012),
    Level("other", "different", 0.10, 0.98),
)
_CODE = (
    Level("equal", "equal", 0.85, 0.01),
    Level("one_edit", "one character apart", 0.07, 0.03),
    Level("other", "different", 0.08, 0.96),
)
_DATE = (
    Level("equal", "equal", 0.90, 0.0001),
    Level("one_edit", "one digit apart", 0.05, 0.002),
    Level("two_edits", "two digits apart", 0.02, 0.02),
    Level("other", "different", 0.03, 0.9779),
)
_NUMBER = (
    Level("equal", "equal", 0.90, 0.00001),
    Level("one_edit", "one character apart", 0.05, 0.00009),
    Level("two_edits", "two characters apart", 0.01, 0.0009),
    Level("other", "different", 0.04, 0.999),
)
_EMAIL = (
    Level("equal", "equal", 0.50, 0.00001),
    Level("close", "nearly equal", 0.10, 0.0002),
    Level("same_user", "the same before the @", 0.10, 0.0005),
    Level("other", "different", 0.30, 0.99929),
)
_STATE = (Level("equal", "equal", 0.95, 0.2), Level("other", "different", 0.05, 0.8))

COMPARISONS = (
    Comparison("first_name", "given name", _NAME, swapped_with="last_name"),
    Comparison("last_name", "surname", _NAME, swapped_with="first_name"),
    Comparison("birthday", "birthday", _DATE, by_frequency=False),
    Comparison("national_id", "national id", _NUMBER, by_frequency=False),
    Comparison("email", "e-mail", _EMAIL),
    Comparison("phone", "phone", _NUMBER),
    Comparison("street", "street", _TEXT),
    Comparison("street_number", "street number", _CODE),
    Comparison("address_2", "second address line", _TEXT),
    Comparison("postal_code", "postal code", _CODE),
    Comparison("city", "city", _TEXT),
    Comparison("state", "state", _STATE),
)
COLUMNS = tuple(one.column for one in COMPARISONS)
_LABELS = {one.column: one.label for one in COMPARISONS}
_IDENTIFIERS = ("national_id", "email", "phone")
"""Compared when they are identifiers as well: the one that was seen last."""

_YEAR = "substr(birthday, 1, 4)"
BLOCKS = (
    Block("national id", ("national_id",)),
    Block("e-mail", ("email",)),
    Block("phone", ("phone",)),
    # In either order, so that swapped names meet.
    Block("names", ("least(first_name, last_name)", "greatest(first_name, last_name)")),
    Block("birthday", ("birthday",)),
    Block("surname and postal code", ("last_name", "postal_code")),
    Block("given name and postal code", ("first_name", "postal_code")),
    Block("surname and year of birth", ("last_name", _YEAR)),
    Block("given name and year of birth", ("first_name", _YEAR)),
    Block("surname and city", ("last_name", "city")),
    Block("given name and city", ("first_name", "city")),
    Block("street and number", ("street", "street_number")),
    Block("street and city", ("street", "city")),
    Block("address and postal code", ("address_2", "postal_code")),
)
TRAINING = (("first_name", "last_name"), ("birthday",), ("postal_code", "street_number"))
"""Columns that pairs agree in while the weights of all other columns are fitted."""
CERTAIN = (("national_id",), ("first_name", "last_name", "birthday"), ("birthday", "postal_code"))
"""Who agrees in one of these is taken for one person when their share is counted."""
CERTAIN_FINDS = 0.8
"""The part of all pairs of one person that CERTAIN is taken to find."""


class Person(NamedTuple):
    """What is compared of a profile: `values` in the order of COLUMNS, None where not known."""

    id: str
    values: tuple[str | None, ...]


def person_of(stored: StoredProfile, policy: TraitPolicy) -> Person | None:
    """What of an active profile can be compared; None where that is nothing at all, and where it
    is nobody's: what shared identifiers did alone."""
    if all(key.startswith(SHARED_PREFIX) for key in stored.state.held):
        return None
    best = overlaid(survivors(observations(stored.state), policy), stored.state)
    said = {name: msgspec.json.decode(best[name]) for name in COLUMNS if name in best}
    said |= _latest_identifiers(stored)
    values = tuple(_comparable(column, said.get(column)) for column in COLUMNS)
    return Person(stored.id, values) if any(values) else None


def words_of(comparison: Comparison, level: Level) -> str:
    """A likeness as a person says it: `surname equal`, `birthday one digit apart`."""
    if level.kind == "swapped":
        return f"{comparison.label} is the other's {_LABELS[comparison.swapped_with or '']}"
    return f"{comparison.label} {level.words}"


def too_many(pairs: Mapping[str, int], limit: int) -> str | None:
    """Why a run is refused whose blocks hold so many pairs; None when it is not."""
    total = sum(pairs.values())
    if total <= limit:
        return None
    largest = sorted(pairs.items(), key=lambda one: -one[1])[:3]
    named = ", ".join(f"{words}: {count:,}" for words, count in largest)
    return (
        f"{total:,} pairs would have to be compared, more than the {limit:,} of "
        f"CONCERT_LINK_MAX_PAIRS; most of them agree in {named}"
    )


def _latest_identifiers(stored: StoredProfile) -> dict[str, str]:
    latest: dict[str, tuple[str, str]] = {}
    for key, held in stored.state.held.items():
        type_, _, value = key.partition("\0")
        if type_ in _IDENTIFIERS:
            latest[type_] = max(latest.get(type_, ("", "")), (held.last_seen_at, value))
    return {type_: value for type_, (_, value) in latest.items()}


def _comparable(column: str, value: Any) -> str | None:
    """The value in the one form in which it is compared; None for what is no text or number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = " ".join(unicodedata.normalize("NFKC", str(value)).casefold().split())[:MAX_TEXT]
    if column == "birthday":
        digits = "".join(filter(str.isdecimal, text))[:8]
        return digits if len(digits) == 8 else None
    if column in ("national_id", "phone", "postal_code"):
        text = "".join(filter(str.isalnum, text))
    return text or None


class Judged(NamedTuple):
    """Suggestions of one band of scores that people decided on. `undone`: accepted, then taken
    back; they count as wrong."""

    least: float
    accepted: int
    rejected: int
    undone: int

    @property
    def decided(self) -> int:
        return self.accepted + self.rejected

    @property
    def precision(self) -> float | None:
        """The share that was right; None while nothing is decided."""
        return (self.accepted - self.undone) / self.decided if self.decided else None


BANDS = (0.0, 0.9, 0.95, 0.99, 0.999)
"""Where each band of scores begins; it ends where the next one begins."""


def in_all(bands: Sequence[Judged]) -> Judged:
    """All bands together."""
    return Judged(
        0.0,
        sum(one.accepted for one in bands),
        sum(one.rejected for one in bands),
        sum(one.undone for one in bands),
    )
