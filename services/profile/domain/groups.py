"""Households and accounts: who belongs together without being the same person.

Each identifier of a profile remembers what was said with it, so a merge unites what two profiles
belong to, and undo and split divide it. The last word by `occurred_at` holds, and what is kept is
the greatest of everything said: neither order nor doubles can change it. Nothing here makes,
joins or unites profiles.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec

GroupKind = Literal["household", "account"]
KINDS: tuple[GroupKind, ...] = ("household", "account")

MAX_ACCOUNTS = 20
"""So many accounts of a profile are shown: those it was linked to last."""
MAX_KEPT = 100
"""So many words about accounts are kept on one identifier: the latest."""
MAX_GROUP_TRAITS = 50
MAX_FACTS_BYTES = 8_000
"""What a snapshot takes of one group; traits beyond, by name, are left out of it."""
FACTS_OF_ITS_OWN = ("id", "size")
"""Facts that every group has; they hide traits of these names."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class _Identified(msgspec.Struct, gc=False):
    id: str


_identified = msgspec.json.Decoder(_Identified)


class HouseholdWord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The last word on a household: which one (`type NUL value`), or None: none any more."""

    at: str
    key: str | None


class AccountWord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The last word on one account: whether it is linked."""

    at: str
    linked: bool


class Links(msgspec.Struct, array_like=True, gc=False):
    """What was said with one identifier, and the static lists that it was put on."""

    household: HouseholdWord | None = None
    accounts: dict[str, AccountWord] = {}
    lists: list[str] = []


class Group(NamedTuple):
    """A group by what it was named with: the identifier `type NUL value`."""

    kind: GroupKind
    key: str

    @property
    def id(self) -> str:
        """Its id: derived, so everybody who meets the group first gives it the same one."""
        return group_id(self.kind, self.key)


def group_id(kind: GroupKind, key: str) -> str:
    """The id of a group: of SHA-256 over kind and key."""
    return str(UUID(bytes=hashlib.sha256(f"{kind}\0{key}".encode()).digest()[:16]))


def say(links: Links, group: Group, at: str, *, linked: bool = True) -> bool:
    """Take in a word on a group of instant `at` (RFC 3339 UTC); whether it changed anything.

    Of two words of one instant, that nothing is linked holds; then the greater key.
    """
    if group.kind == "household":
        word = HouseholdWord(at, group.key if linked else None)
        if links.household is not None and _order(word) <= _order(links.household):
            return False
        links.household = word
        return True
    said, before = AccountWord(at, linked), links.accounts.get(group.key)
    if before is not None and _account_order(said) <= _account_order(before):
        return False
    links.accounts[group.key] = said
    if len(links.accounts) > MAX_KEPT:
        least = min(links.accounts, key=lambda key: (_account_order(links.accounts[key]), key))
        del links.accounts[least]
        return least != group.key
    return True


def household_of(all_links: Iterable[Links]) -> Group | None:
    """The household of a profile: the last word on any of its identifiers."""
    words = [links.household for links in all_links if links.household is not None]
    last = max(words, key=_order, default=None)
    return None if last is None or last.key is None else Group("household", last.key)


def accounts_of(all_links: Iterable[Links]) -> list[Group]:
    """The accounts of a profile, the one linked last first; at most MAX_ACCOUNTS."""
    last: dict[str, AccountWord] = {}
    for links in all_links:
        for key, word in links.accounts.items():
            before = last.get(key)
            if before is None or _account_order(word) > _account_order(before):
                last[key] = word
    linked = sorted(((word.at, key) for key, word in last.items() if word.linked), reverse=True)
    return [Group("account", key) for _, key in linked[:MAX_ACCOUNTS]]


def lists_of(all_links: Iterable[Links]) -> list[str]:
    """The static lists of a profile, by key: those of any of its identifiers."""
    return sorted({key for links in all_links for key in links.lists})


def latest(all_links: Iterable[Links], kind: GroupKind) -> str:
    """The instant of the last word on groups of a kind; empty when there is none."""
    words: list[HouseholdWord | AccountWord] = []
    for links in all_links:
        if kind == "account":
            words += links.accounts.values()
        elif links.household is not None:
            words.append(links.household)
    return max((word.at for word in words), default="")


def _order(word: HouseholdWord) -> tuple[str, bool, str]:
    return word.at, word.key is None, word.key or ""


def _account_order(word: AccountWord) -> tuple[str, bool]:
    return word.at, not word.linked


class GroupSaying(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The last word on one trait of a group; `value` is canonical JSON, `null` where it was
    removed, `said_by` a touchpoint's or a change's id."""

    at: str
    said_by: str
    value: bytes


GroupTraits = dict[str, GroupSaying]

_traits_encoder = msgspec.msgpack.Encoder()
_traits_decoder = msgspec.msgpack.Decoder(GroupTraits)


def encode_traits(traits: GroupTraits) -> bytes:
    """As they are stored."""
    return _traits_encoder.encode(traits)


def decode_traits(data: bytes | None) -> GroupTraits:
    """Raises msgspec.ValidationError when the bytes are none: the row is damaged."""
    return {} if data is None else _traits_decoder.decode(data)


def observe_group(traits: GroupTraits, said: Mapping[str, GroupSaying]) -> bool:
    """Take in what was said of a group, in place; whether it changed anything.

    The greatest by (at, said by, value) is kept; of more than MAX_GROUP_TRAITS the first by name.
    """
    before = dict(traits)
    for name, word in said.items():
        there = traits.get(name)
        if there is None or _saying_order(word) > _saying_order(there):
            traits[name] = word
    for name in sorted(traits)[MAX_GROUP_TRAITS:]:
        del traits[name]
    return traits != before


def _saying_order(word: GroupSaying) -> tuple[str, str, bytes]:
    return word.at, word.said_by, word.value


def shown_group_traits(traits: GroupTraits) -> dict[str, object]:
    """The traits of a group that are there, by name."""
    return {
        name: msgspec.json.decode(traits[name].value)
        for name in sorted(traits)
        if traits[name].value != b"null"
    }


def id_of_facts(facts: bytes) -> str:
    """The id of the group that facts are about."""
    return _identified.decode(facts).id


def facts_of_group(id_: str, size: int, traits: GroupTraits) -> bytes:
    """What conditions may read of a group, as its members carry it: canonical JSON."""
    facts: dict[str, object] = {"id": id_, "size": size}
    room = MAX_FACTS_BYTES
    for name, value in shown_group_traits(traits).items():
        room -= len(name.encode()) + len(traits[name].value) + 4
        if room < 0:
            break
        if name not in FACTS_OF_ITS_OWN:
            facts[name] = value
    return _encode(facts)
