"""Whoever is erased, everybody else is made again from the evidence byte for byte: over generated
lives that share identifiers, demote, veto and unite."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.profile.api.views import touchpoint_json
from services.profile.domain import erased
from services.profile.domain.absorb import Rules
from services.profile.domain.absorbed import Arrival
from services.profile.domain.identity import IdentifierType, IdentityRules
from services.profile.domain.profile import encode_state
from services.profile.domain.rectify import Rectification
from services.profile.domain.replay import Replay, Row, differences
from services.profile.domain.trait import TraitsInForce
from services.profile.storage.touchpoints import StoredTouchpoint
from services.profile.use_cases.naming import NAMING
from shared.contracts.touchpoint import envelope_decoder
from tests.unit.profile.world import World, touchpoint

POOL = [
    *(("user_id", f"u{n}") for n in range(3)),
    *(("email", f"m{n}@x.org") for n in range(3)),
    *(("device_id", f"d{n}") for n in range(2)),
    ("phone", "+331"),
    ("loyalty_id", "L1"),
    ("email", "noreply@x.org"),
]
NORMALISED = IdentityRules(
    types={
        "user_id": IdentifierType("user_id", 1, limit=1, veto=True),
        "email": IdentifierType("email", normaliser="email", limit=2),
        "device_id": IdentifierType("device_id", 100, limit=2, role="device"),
        "loyalty_id": IdentifierType("loyalty_id", role="household", normaliser="lower"),
    },
    max_identifiers=4,
    version=1,
)
LIVES = st.lists(
    st.lists(st.sampled_from(POOL), min_size=1, max_size=4, unique=True), min_size=3, max_size=25
)


def life(named: Sequence[Sequence[tuple[str, str]]]) -> list[dict[str, Any]]:
    return [
        touchpoint(n, *identifiers, traits={"first_name": f"N{n % 3}"})
        for n, identifiers in enumerate(named)
    ]


@settings(max_examples=150, deadline=None)
@given(
    named=LIVES,
    size=st.sampled_from([1, 4, 100]),
    whom=st.integers(0, 20),
    rules=st.sampled_from([Rules(), Rules(identity=NORMALISED)]),
)
def test_everybody_else_is_made_again(
    named: list[list[tuple[str, str]]], size: int, whom: int, rules: Rules
) -> None:
    world = World(rules)
    placed: dict[str, str | None] = {}
    bodies = life(named)
    for start in range(0, len(bodies), size):
        batch = bodies[start : start + size]
        result = world.take(*batch)
        placed |= {body["id"]: profile for body, profile in zip(batch, result.placed, strict=True)}
    active = sorted(id_ for id_, row in world.rows.items() if row.status == "active")
    her = active[whom % len(active)]
    family = {id_ for id_ in world.rows if world.live.current(id_) == her}
    own = {id_ for id_, profile in placed.items() if profile in family}
    names = _names(world, her, own, rules)

    replay = Replay(NAMING)
    for step in world.evidence:
        assert isinstance(step, list)
        replay.take([_changed(one, own, names, rules) for one in step], rules)

    assert differences(replay.rows, _others(world, family, names), gone=family) == []
    left = b"".join(row.state for row in _others(world, family, names).values())
    assert not [key for key in names if key.encode() in left]


def _names(world: World, her: str, own: set[str], rules: Rules) -> dict[str, str]:
    keys = {key for key, owner in world.owners.items() if owner == her}
    keys -= world.live.shared
    for step in world.evidence:
        assert isinstance(step, list)
        for one in step:
            if one.touchpoint.id in own:
                said = erased.said_then(one.body, rules.identity)
                keys |= {key for key in said if key not in world.owners}
    drawn = (f"{hash((n, her)) & (2**128 - 1):032x}" for n in range(len(keys)))
    return {
        key: erased.random_name(digits) for key, digits in zip(sorted(keys), drawn, strict=True)
    }


def _changed(one: Arrival, own: set[str], names: dict[str, str], rules: Rules) -> Arrival:
    body = one.body
    if one.touchpoint.id in own:
        body = erased.stripped(body, rules.identity, names)
    else:
        body = erased.without_names(body, rules.identity, names) or body
    again = erased.without_names(body, rules.identity, names)
    assert again is None, "doing it again changes nothing"
    told = envelope_decoder.decode(body)
    return Arrival(told, body, erased.usable_then(told, body, rules.identity))


def _others(world: World, family: set[str], names: dict[str, str]) -> dict[str, Row]:
    found = {}
    for id_, row in world.rows.items():
        if id_ not in family:
            stored = world.live.stored(id_)
            erased.rename_marks(stored.state, names)
            found[id_] = Row(
                row.status, row.merged_into, row.seq, row.n_merges, encode_state(stored.state)
            )
    return found


def test_only_what_names_a_person_or_a_device_is_said_of_her() -> None:
    body = touchpoint(
        1,
        ("email", "ada@x.org"),
        ("household_id", "H1"),
        ("group_id", "ACME"),
        ("profile_id", "00000000-0000-4000-8000-000000000001"),
        ("user_id", "guest"),
        ("device_id", erased.random_name("00")),
    )
    said = erased.said_then(msgspec.json.encode(body), IdentityRules())
    assert said == {"email\0ada@x.org"}


def test_what_it_was_trusted_for_is_shown_to_nobody() -> None:
    rules, names = IdentityRules(), {"email\0ada@x.org": erased.random_name("00")}
    plain = msgspec.json.encode(touchpoint(1, ("email", "ada@x.org"), ("user_id", "bo")))
    changed = erased.without_names(plain, rules, names)
    assert changed is not None
    stored = StoredTouchpoint("1", datetime.fromtimestamp(0, UTC), changed)
    shown = touchpoint_json(stored, TraitsInForce(), masked=True)
    assert "keys" not in shown
    assert "bo" not in [one["value"] for one in shown["identifiers"]]
    assert erased.without_keys(plain) is plain


def test_a_correction_that_hangs_on_a_shared_identifier_keeps_no_value() -> None:
    said = Rectification(
        id="1", profile="p", anchor="device_id\0tv", values={"city": b'"Lyon"'}, at="2026"
    )
    assert erased.rename_decision(said, {}, {"device_id\0tv"}) == msgspec.structs.replace(
        said, values={}
    )
    assert erased.rename_decision(said, {}, {"device_id\0other"}) == said


def test_a_stripped_touchpoint_has_nothing_of_what_was_said() -> None:
    body = touchpoint(
        1,
        ("email", "canary@x.org"),
        ("user_id", "bo"),
        ("email", "noreply@canary.org"),
        traits={"a": "canary"},
        properties={"b": "canary"},
        context={"c": "canary"},
        message_id="canary",
        type="canary",
    )
    rules = IdentityRules()
    names = {"email\0canary@x.org": erased.random_name("00")}
    kept = erased.stripped(msgspec.json.encode(body), rules, names)
    assert b"canary" not in kept
    told = envelope_decoder.decode(kept)
    assert (told.id, told.occurred_at) == (body["id"], body["occurred_at"])
    assert [one.value for one in told.identifiers] == ["erased:00", "bo", ""]
