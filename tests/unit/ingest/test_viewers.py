"""What of an event is shown to whom: as its source declares, in every shape it was sent in."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from services.ingest.api.failed_event_views import replay_answer
from services.ingest.api.viewers import Viewer
from services.ingest.domain.source import Source
from services.ingest.storage.replays import Kept
from services.ingest.use_cases.replay_failed_events import Outcome, Trial
from shared.errors import InvalidData
from shared.ids import random_id

MAPPING = {
    "type": {"const": "Booked"},
    "identifiers": [{"type": "loyalty_id", "value": "$.card"}],
    "traits": {"size": {"path": "shoes[0].length", "default": 40}},
    "properties": {"guest": "who", "note": "note"},
}
SOURCES = {
    "shop": Source(
        id="shop",
        name="Shop",
        channel="web",
        pii={
            "properties.guests[].nick": "name",
            "traits.Shoe": "size",
            "context.seat": "place",
            "properties.wish": "text",
        },
    ),
    "hook": Source(
        id="hook",
        name="Hook",
        channel="web",
        dialect="webhook",
        mapping=MAPPING,
        pii={"properties.guest.called": "name", "traits.size": "size"},
    ),
    "plain": Source(id="plain", name="Plain", channel="web"),
}
OTHERS = Viewer(False, SOURCES)
PRIVILEGED = Viewer(True, SOURCES)
TOUCHPOINT: dict[str, Any] = {
    "source": "shop",
    "identifiers": [{"type": "user_id", "value": "ada"}],
    "traits": {"shoe": 41, "country": "FR"},
    "properties": {"guests": [{"nick": "Bob"}, {"nick": None}], "nick": "Gala", "wish": ["a"]},
    "context": {"seat": {"row": 3}},
}


def test_a_touchpoint_is_masked_at_the_declared_paths() -> None:
    assert OTHERS.touchpoint(TOUCHPOINT) == {
        "source": "shop",
        "identifiers": [{"type": "user_id", "value": "a***"}],
        "traits": {"shoe": "***", "country": "FR"},
        "properties": {
            "guests": [{"nick": "***"}, {"nick": "***"}],
            "nick": "Gala",
            "wish": "***",
        },
        "context": {"seat": "***"},
    }
    assert PRIVILEGED.touchpoint(TOUCHPOINT) is TOUCHPOINT
    undeclared = OTHERS.touchpoint({**TOUCHPOINT, "source": "plain"})
    assert undeclared["properties"] == TOUCHPOINT["properties"]
    assert undeclared["traits"]["shoe"] == 41


@pytest.mark.parametrize(
    ("source", "sent", "shown"),
    [
        (
            "shop",
            {"specversion": "1.0", "data": {"wish": "Bob", "guests": [{"nick": "Bob"}], "n": 1}},
            {"specversion": "1.0", "data": {"wish": "***", "guests": [{"nick": "***"}], "n": 1}},
        ),
        ("shop", {"properties": {"n": 1}, "Seat": "12"}, {"properties": "***", "Seat": "***"}),
        (
            "hook",
            {"card": "L1906", "who": {"called": "Bob", "n": 1}, "shoes": [{"length": 41}]},
            {"card": "***", "who": {"called": "***", "n": 1}, "shoes": [{"length": "***"}]},
        ),
        ("plain", {"wish": "Bob"}, {"wish": "Bob"}),
        ("stranger", {"wish": "Bob"}, {"wish": "Bob"}),
        (None, {"wish": "Bob"}, {"wish": "Bob"}),
    ],
)
def test_what_was_sent_is_masked_wherever_it_stands(
    source: str | None, sent: dict[str, Any], shown: dict[str, Any]
) -> None:
    content = orjson.dumps(sent)
    assert orjson.loads(OTHERS.sent(content, (), source, 1000) or b"") == shown
    assert PRIVILEGED.sent(content, (), source, 1000) == content.decode()
    assert len(OTHERS.sent(content, (), source, 5) or "") == 5


def test_what_cannot_be_masked_is_not_shown() -> None:
    for content in (b'["Bob"]', b"Bob", b'{"wish":'):
        assert OTHERS.sent(content, (), "shop", 1000) is None
        assert PRIVILEGED.sent(content, (), "shop", 1000) == content.decode()
    assert PRIVILEGED.sent(None, (), "shop", 1000) is None


def test_a_mapping_that_takes_the_whole_body_hides_the_whole_body() -> None:
    mapping = {"type": {"const": "Booked"}, "properties": {"all": "$"}}
    source = Source(
        id="h", name="H", channel="web", mapping=mapping, pii={"properties.all": "text"}
    )
    assert Viewer(False, {"h": source}).sent(b'{"a":1}', (), "h", 99) == '"***"'


def test_a_sentence_quotes_nothing_of_who_declares_personal_data() -> None:
    said = "properties.when: 'Bob' is no time of ada@example.com"
    assert PRIVILEGED.sentence(said, "shop") == said
    assert OTHERS.sentence(said, "plain") == "properties.when: 'Bob' is no time of ***"
    for source in ("shop", None):
        assert OTHERS.sentence(said, source) == "properties.when: '…' is no time of ***"


def test_the_examples_of_a_replay_are_masked() -> None:
    raw, value = b'{"seat":"12","n":1}', b'{"seat":"13","n":2}'
    kept = Kept(
        id=random_id(),
        topic="channel.web",
        part=0,
        channel="web",
        source="shop",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        reason="spec_violation",
        key=None,
        raw=raw,
        whole=True,
        attempts=1,
        headers=(),
    )
    trial = Trial(kept, value, (), InvalidData("spec_violation", "'13' is no seat", "seat"))
    outcome = Outcome(None, examples=[trial])
    (hidden,) = replay_answer(outcome, OTHERS, dry_run=True).examples
    assert (hidden.before, hidden.after) == ('{"seat":"***","n":1}', '{"seat":"***","n":2}')
    assert hidden.error is not None
    assert hidden.error.message == "'…' is no seat"
    (whole,) = replay_answer(outcome, PRIVILEGED, dry_run=True).examples
    assert (whole.before, whole.after) == (raw.decode(), value.decode())
