"""Merges into one large profile: what is kept up to date says what finding it anew would."""

import random
from dataclasses import replace
from typing import Any

import pytest

from services.profile.domain.absorb import Rules
from services.profile.domain.held_keys import HeldKeys
from services.profile.domain.identity import IdentityRules
from tests.unit.profile.test_segments import TWICE, look, segment
from tests.unit.profile.world import World, touchpoint

SIZE = 260
"""More identifiers than a snapshot lists, by far."""


def lifted() -> Rules:
    """Rules whose caps only what nobody reaches here breaks, and a limit in a window."""
    types = dict(IdentityRules().types)
    types["anonymous_id"] = replace(types["anonymous_id"], limit=150)
    return Rules(identity=IdentityRules(types=types, max_identifiers=10_000, max_merges=10_000))


def history(seed: int) -> list[dict[str, Any]]:
    """Visitors, some of whom were seen more than once, who log in as the same person."""
    draw = random.Random(seed)
    bodies: list[dict[str, Any]] = []
    for number in range(SIZE):
        day = draw.randrange(1, 366)
        visitor = draw.choice(["anonymous_id", "device_id", "email"]), f"v{number}"
        said = {
            "occurred_at": f"2026-{1 + day % 12:02d}-{1 + day % 28:02d}T00:00:00.000Z",
            "traits": {"first_name": f"Ada {day % 5}", f"t{number % 260:03d}": day},
            "source": draw.choice(["shop", "till"]),
        }
        bodies.append(touchpoint(number, visitor, **said))
        if draw.random() < 0.3:
            bought = {"type": "Order Completed", "properties": {"total": day, "currency": "EUR"}}
            bodies.append(touchpoint(number, visitor, message_id=f"o{number}", **bought))
        bodies.append(touchpoint(number, ("user_id", "u"), visitor, message_id=f"l{number}"))
        if draw.random() < 0.2:
            other = bodies[draw.randrange(len(bodies))]
            bodies.append({**other, **touchpoint(number, message_id=f"a{number}"),
                           "identifiers": other["identifiers"]})  # fmt: skip
    draw.shuffle(bodies)
    return bodies


@pytest.mark.parametrize("seed", range(3))
def test_batches_of_any_size_give_the_same_bytes(seed: int) -> None:
    bodies = history(seed)
    gold = {"attr": "profile.first_name", "op": "eq", "value": "Ada 1"}
    seen_by = look(segment("gold", gold), segment("twice", TWICE))
    whole, in_parts, one_by_one = (World(lifted(), seen_by) for _ in range(3))
    whole.take(*bodies)
    in_parts.take_in_batches(bodies, 7)
    one_by_one.take_in_batches(bodies, 1)
    assert len(whole.merges) > SIZE // 4
    assert max(len(one.state.held) for one in whole.active()) > 150
    assert in_parts.messages == whole.messages
    assert one_by_one.messages == whole.messages
    assert one_by_one.rows == whole.rows


def test_of_many_identifiers_the_strongest_are_shown_after_any_merges() -> None:
    world = World(lifted())
    world.take(*history(7))
    rules = lifted().identity
    for update in world.updates()[-200:]:
        assert len(update["profile"]["identifiers"]) <= 100
    for profile in world.active():
        fresh = HeldKeys(profile.state).shown(rules)
        told = [one for one in world.updates() if one["profile_id"] == profile.id][-1]
        assert [f"{i['type']}\0{i['value']}" for i in told["profile"]["identifiers"]] == fresh
