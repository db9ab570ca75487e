"""The consumers of docs/channels.md do what the page promises: once, retracted before and after,
answered, and the same after a restart."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from shared.contracts.action import Action, action_encoder
from shared.contracts.delivery import outcome_of
from shared.contracts.topics import Topics
from shared.contracts.touchpoint import Identifier
from tests.integration.channels.programs import Program
from tests.support.eventually import eventually
from tests.support.kafka import Message, publish, read_all
from tests.support.stack import Stack

SPACE = UUID("5f1d2f5e-7c1a-4a53-9b43-3d1c4d0a9d11")
Start = Callable[..., Program]


def named(name: str) -> str:
    return str(uuid5(SPACE, name))


def action(topics: Topics, channel: str, name: str, kind: str = "send", **fields: Any) -> Message:
    """A message as the orchestrator publishes it."""
    retracts = kind == "retract"
    content = {} if retracts else {"text": name}
    value = Action(
        action_id=named(name),
        idempotency_key=named(name) + (":retract" if retracts else ""),
        kind=kind,
        profile_id=named("ada"),
        channel=channel,
        category="service",
        to=None if retracts else Identifier("email", "ada@b.c"),
        decision_id=named("why"),
        content=content,
        **fields,
    )
    return Message(topics.actions(channel), action_encoder.encode(value), named("ada").encode())


@pytest.fixture
def start(stack: Stack, topics: Topics, tmp_path: Path) -> Iterator[Start]:
    """Starts a program of the page; all are killed at the end."""
    made: list[Program] = []

    def begin(title: str, **environment: str) -> Program:
        one = Program(title, tmp_path, stack.kafka, topics.prefix, environment)
        made.append(one)
        one.start()
        return one

    yield begin
    for one in made:
        one.kill()


async def until_said(one: Program, wanted: Callable[[list[Any]], object]) -> list[Any]:
    """Wait until what it printed is as wanted."""
    try:
        return await eventually(one.heard, until=wanted, within=40)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{one.trouble()}") from None


async def answers(stack: Stack, topic: str) -> list[tuple[str, str]]:
    """The action and the outcome of every event on a channel, each id once."""
    events = [json.loads(record.value) for record in await read_all(stack.kafka, topic)]
    found = {}
    for event in events:
        told = outcome_of(event["type"], event["properties"])
        assert told is not None, event
        assert event["identifiers"] == [{"type": "profile_id", "value": named("ada")}]
        found[event["id"]] = (str(told[0]), told[1])
    return sorted(found.values())


async def test_a_sender_sends_once_and_not_what_was_taken_back(
    stack: Stack, topics: Topics, start: Start
) -> None:
    mailer = start("Send")
    sent = action(topics, "email", "sent")
    await publish(
        stack.kafka,
        [
            sent,
            sent,
            action(topics, "email", "back"),
            action(topics, "email", "back", "retract"),
            action(topics, "email", "early", "retract"),
            action(topics, "email", "early"),
            action(topics, "email", "old", expires_at="2026-01-01T00:00:00.000Z"),
        ],
    )
    await eventually(
        lambda: answers(stack, topics.channel("email")), until=lambda found: len(found) == 2
    )
    mailer.kill()
    mailer.start()
    await publish(
        stack.kafka,
        [sent, action(topics, "email", "sent", "retract"), action(topics, "email", "new")],
    )
    said = await until_said(mailer, lambda said: len(said) >= 2)
    assert [one["key"] for one in said] == [named("sent"), named("new")]
    expected = sorted(
        [(named("sent"), "delivered"), (named("new"), "delivered"), (named("old"), "expired")]
    )
    await eventually(
        lambda: answers(stack, topics.channel("email")), until=lambda found: found == expected
    )


async def test_a_call_list_loses_what_was_withdrawn(
    stack: Stack, topics: Topics, start: Start
) -> None:
    desk = start("Task")
    calls = [action(topics, "call_centre", name, "task") for name in ("a", "b", "c")]
    await publish(stack.kafka, [*calls, calls[0], action(topics, "call_centre", "b", "retract")])
    left = sorted([named("a"), named("c")])
    await until_said(desk, lambda said: said and said[-1] == {"open": left} and len(said) == 5)
    desk.kill()
    desk.start()
    desk.type(f"{named('a')} accepted")
    desk.type(f"{named('b')} accepted")
    await until_said(desk, lambda said: {"gone": named("b")} in said)
    assert await answers(stack, topics.channel("call_centre")) == [(named("a"), "accepted")]
    await publish(stack.kafka, [action(topics, "call_centre", "a", "retract"), calls[0]])
    await until_said(desk, lambda said: said[-1] == {"open": [named("c")]})


async def test_a_till_shows_what_holds_now(stack: Stack, topics: Topics, start: Start) -> None:
    till = start("Prompt", FROM="earliest")
    await publish(
        stack.kafka,
        [
            action(topics, "pos", "lamp", "prompt"),
            action(topics, "pos", "sofa", "prompt"),
            action(topics, "pos", "lamp", "prompt"),
            action(topics, "pos", "sofa", "retract"),
            action(topics, "pos", "sofa", "prompt"),
        ],
    )
    await until_said(till, lambda said: said and said[-1] == {"cards": ["lamp"]} and len(said) == 5)
    till.type(f"{named('lamp')} declined")
    await until_said(till, lambda said: said[-1] == {"cards": []})
    assert await answers(stack, topics.channel("pos")) == [(named("lamp"), "declined")]


async def test_a_print_shop_says_whether_it_was_in_time(
    stack: Stack, topics: Topics, start: Start, tmp_path: Path
) -> None:

    shop = start("Retract alone")
    await publish(
        stack.kafka,
        [
            action(topics, "direct_mail", "first"),
            action(topics, "direct_mail", "first", "retract"),
            action(topics, "direct_mail", "second"),
        ],
    )
    await until_said(shop, lambda said: said == [{"call off": named("first"), "in time": True}])

    def handed_over() -> int:
        with sqlite3.connect(tmp_path / "state.db") as state:
            count: int = state.execute("SELECT count(*) FROM handed_over").fetchone()[0]
        return count

    await eventually(handed_over, until=lambda count: count == 2)
    shop.kill()
    with sqlite3.connect(tmp_path / "state.db") as state:
        state.execute("UPDATE handed_over SET printed = 1 WHERE id = ?", [named("second")])
    shop.start()
    await publish(stack.kafka, [action(topics, "direct_mail", "second", "retract")])
    await until_said(shop, lambda said: {"call off": named("second"), "in time": False} in said)
    assert await answers(stack, topics.channel("direct_mail")) == [(named("second"), "delivered")]
