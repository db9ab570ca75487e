"""A channel as far as decisions need it: online or offline, switched on, and how it is addressed.

`to` is the first identifier in the snapshot of the types the channel is addressed by (the
snapshot lists the latest first), else the trait. Offline channels need no address: a person serves
the customer there. Web and app know the person when they come, so the profile's id is enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.orchestrator.domain.connector import (
    BUILT_IN,
    CONNECTORS,
    USUAL_RETRY,
    Rate,
    Retry,
    Target,
    read_rate,
    read_retry,
    read_target,
)
from shared.conditions.document import Fields
from shared.conditions.mistakes import Mistakes, shown
from shared.contracts.topics import CHANNEL_NAME, DEFAULT_CHANNELS
from shared.contracts.touchpoint import Identifier
from shared.errors import Unprocessable

PROFILE_ID = "profile_id"

_FIELDS = (
    "key",
    "version",
    "name",
    "description",
    "kind",
    "enabled",
    "connector",
    "delivery",
    "address",
    "rate",
    "retry",
    "fallback",
    "webhook",
    "smtp",
    "file",
)


@dataclass(frozen=True, slots=True)
class Channel:
    """`address` lists identifier types in order of preference, `trait` is asked for after them.
    `fallback` is the channel that stands in for this one when a delivery comes to nothing."""

    key: str
    version: int
    online: bool
    enabled: bool
    delivery: str
    address: tuple[str, ...]
    trait: str | None
    connector: str = "kafka"
    target: Target | None = None
    rate: Rate | None = None
    retry: Retry = USUAL_RETRY
    fallback: str | None = None

    @property
    def is_built_in(self) -> bool:
        """Whether Concert itself delivers its actions, beside publishing them."""
        return self.connector in BUILT_IN

    def recipient(
        self, profile_id: str, identifiers: Sequence[Identifier], traits: Mapping[str, object]
    ) -> Identifier | None:
        """Where an action goes to; None when the channel has no address of this profile."""
        for kind in self.address:
            if kind == PROFILE_ID:
                return Identifier(PROFILE_ID, profile_id)
            for identifier in identifiers:
                if identifier.type == kind:
                    return identifier
        value = traits.get(self.trait) if self.trait is not None else None
        if self.trait is not None and isinstance(value, str) and value:
            return Identifier(self.trait, value)
        return None


_ADDRESSES: dict[str, tuple[tuple[str, ...], str | None]] = {
    "email": (("email",), "email"),
    "sms": (("phone",), "phone"),
    "push": (("device_id",), None),
    "web": (("user_id", "anonymous_id", PROFILE_ID), None),
    "app": (("user_id", "device_id", PROFILE_ID), None),
    "call_centre": (("phone",), "phone"),
    "pos": (("loyalty_id",), None),
    "kiosk": (("loyalty_id",), None),
    "clienteling": (("loyalty_id",), None),
    "direct_mail": ((), None),
}
_OTHER: tuple[tuple[str, ...], str | None] = ((PROFILE_ID,), None)


def default_channels() -> dict[str, Channel]:
    """The channels that are present before anybody saved one, as version 0."""
    return {key: _default(key) for key in DEFAULT_CHANNELS}


def _default(key: str) -> Channel:
    address, trait = _ADDRESSES.get(key, _OTHER)
    online = DEFAULT_CHANNELS.get(key, "online") == "online"
    return Channel(key, 0, online, True, "at_least_once", address, trait)


def parse_channel(document: object, *, key: str, version: int) -> Channel:
    """The channel of a decoded JSON document. Raises Unprocessable, one problem per mistake."""
    mistakes = Mistakes()
    fields = Fields(mistakes, document, "", _FIELDS)
    usual = _default(key)
    if CHANNEL_NAME.fullmatch(key) is None:
        fields.wrong("key", "key", "is 1 to 64 lower-case letters, digits and '_'")
    fields.same_key(key)
    connector = fields.choice("connector", CONNECTORS, "kafka")
    delivery = fields.choice("delivery", ("at_least_once", "at_most_once"), usual.delivery)
    kind = fields.choice("kind", ("online", "offline"), "online" if usual.online else "offline")
    enabled = fields.boolean("enabled", default=True)
    address, trait = fields.nested("address", _address, ("identifiers", "trait"))
    target = read_target(fields, connector)
    rate, retry = read_rate(fields), read_retry(fields)
    fallback = fields.key("fallback")
    if fallback == key:
        fields.wrong("fallback", "itself", "is another channel")
    if mistakes.problems:
        raise Unprocessable("the channel breaks rules", mistakes.problems)
    if not fields.has("address"):
        address, trait = usual.address, usual.trait
    return Channel(
        key=key,
        version=version,
        online=kind == "online",
        enabled=enabled,
        delivery=delivery,
        address=address,
        trait=trait,
        connector=connector,
        target=target,
        rate=rate,
        retry=retry,
        fallback=fallback,
    )


def _address(fields: Fields) -> tuple[tuple[str, ...], str | None]:
    kinds: list[str] = []
    for path, value in fields.items("identifiers", 10):
        if isinstance(value, str) and 0 < len(value) <= 100:
            kinds.append(value)
        else:
            fields.mistakes.add(path, "type", f"must be an identifier type, not {shown(value)}")
    return tuple(kinds), fields.text("trait")
