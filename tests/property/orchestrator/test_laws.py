"""Whatever happens, no contact breaks a cap, falls into quiet hours, lacks a consent, goes to one
who is held out, or follows too soon on what silenced it: an oracle that shares no code says so."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.domain.policy_document import parse_policy
from services.orchestrator.domain.rule import Holdout
from services.orchestrator.domain.trigger_index import RuleSet
from tests.property.orchestrator.naive import LENGTHS, broken_promises
from tests.property.orchestrator.world import Person, Published, World
from tests.unit.orchestrator.build import email, rule, ruleset, uid

HOLDOUTS = {"offer": {"percent": 30, "salt": "offer"}}
STOP = [{"event": "Stop"}]
RULES = (
    rule("news", "A", category="marketing", group="g", score={"value": 2}),
    rule("later", "A", category="marketing", group="g", topic="t", exit_criteria=STOP,
         actions=[email(channel="sms", delay="PT40M", expires_in="PT20H")]),
    rule("care", "B", category="service", actions=[email(delay="P1D", expires_in="P2D")]),
    replace(
        rule("offer", "B", category="marketing", topic="t",
             actions=[email(), email(channel="sms", delay="PT3H", expires_in="P3D")]),
        holdout=Holdout(30, "offer"),
    ),
    rule("code", "A", category="transactional", actions=[email(channel="sms")]),
)  # fmt: skip
CHANNELS, CATEGORIES = ("email", "sms"), ("marketing", "service", "transactional")
ZONES = (
    (None, None), ("Europe/Paris", None), ("America/New_York", None), ("Pacific/Auckland", None),
    (None, "JP"), ("Mars/Olympus", "US"),
)  # fmt: skip
STARTS = [
    datetime(2026, 3, 28, 18, tzinfo=UTC),
    datetime(2026, 3, 29, 0, 30, tzinfo=UTC),
    datetime(2026, 10, 24, 18, tzinfo=UTC),
    datetime(2026, 10, 25, 0, 15, tzinfo=UTC),
    datetime(2026, 11, 1, 5, 15, tzinfo=UTC),
    datetime(2026, 11, 29, 18, tzinfo=UTC),
]
CLOCKS = st.sampled_from(["00:00", "01:30", "02:00", "02:30", "03:00", "08:00", "20:00", "22:30"])


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with some of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


SCOPES = some(
    channel=st.sampled_from(CHANNELS), category=st.sampled_from(CATEGORIES), topic=st.just("t"),
    group=st.just("g"), rule=st.sampled_from(["news", "offer"]),
)  # fmt: skip
PER = st.sampled_from(["profile", "household"])
ROLLING = st.fixed_dictionaries(
    {"limit": st.integers(0, 2), "window": st.sampled_from(sorted(LENGTHS)), "per": PER},
    optional={"scope": SCOPES},
)
CALENDAR = st.fixed_dictionaries(
    {"limit": st.integers(1, 3), "window": st.sampled_from(["P1D", "P7D", "P1M"]),
     "kind": st.just("calendar"), "per": PER},
    optional={"scope": SCOPES},
)  # fmt: skip
SILENCES = st.fixed_dictionaries(
    {"from": CLOCKS, "to": CLOCKS},
    optional={
        "channels": st.lists(st.sampled_from(CHANNELS), min_size=1, unique=True),
        "categories": st.lists(st.sampled_from(CATEGORIES), min_size=1, unique=True),
        "days": st.lists(st.integers(1, 7), min_size=1, unique=True),
    },
).flatmap(
    lambda silence: st.sampled_from(
        [silence, silence | {"action": "discard"}, silence | {"max_defer": "PT6H"}]
    )
)
SUPPRESSIONS = st.builds(
    lambda on, length: {"on": on, "for": length},
    st.fixed_dictionaries(
        {"outcome": st.sampled_from(["ignored", "declined"]), "count": st.integers(1, 2),
         "within": st.sampled_from(["PT6H", "P2D"])},
        optional={
            "per": st.sampled_from(["channel", "category", "topic", "group", "rule"]),
            "channel": st.sampled_from(CHANNELS),
        },
    ),
    st.sampled_from(["PT6H", "P1D", "P7D"]),
)  # fmt: skip
POLICIES = some(
    caps=st.lists(ROLLING | CALENDAR, max_size=3),
    quiet_hours=st.lists(SILENCES, max_size=2),
    suppressions=st.lists(SUPPRESSIONS, max_size=2),
    consent=st.fixed_dictionaries(
        {
            "require": some(
                marketing=st.sampled_from(["opt_in", "not_opted_out"]),
                service=st.sampled_from(["opt_in", "not_opted_out", "none"]),
                transactional=st.sampled_from(["opt_in", "none"]),
            )
        }
    ),
    bypass=some(
        categories=st.lists(st.sampled_from(["service", "transactional"]), unique=True),
        counts_toward_caps=st.booleans(),
    ),
    time_zone=st.sampled_from([{"default": "Asia/Tokyo"}, {"default": "Europe/Paris"}]),
    holdout=st.sampled_from([{"percent": 50, "salt": "u"}, {"percent": 0, "salt": "u"}]),
    arbitration=st.fixed_dictionaries({"max_actions": st.integers(1, 3)}),
)
WHO = st.integers(0, 3)
EVENTS = st.tuples(st.just("happens"), WHO, st.sampled_from(["A", "B"]))
REST = st.one_of(
    st.tuples(st.just("happens"), WHO, st.just("Stop")),
    st.tuples(
        st.just("consent"), WHO, st.sampled_from(CATEGORIES), st.sampled_from(CHANNELS),
        st.sampled_from(["granted", "granted", "denied"]),
    ),
    st.tuples(st.just("reports"), st.integers(0, 20), st.sampled_from(["ignored", "declined"])),
    st.builds(lambda who, zone: ("moves", who, *zone), WHO, st.sampled_from(ZONES)),
    st.tuples(st.just("merge"), WHO, WHO),
    st.tuples(st.just("publishes"), st.integers(0, 1)),
    st.just(("forget",)),
)  # fmt: skip
WAITS = st.tuples(
    st.sampled_from([0, 0, 1, 20, 29, 30, 40, 45, 180, 300, 360, 720, 1440, 2880]),
    st.integers(0, 2),
)
STEPS = st.tuples(WAITS, EVENTS | EVENTS | REST)

Documents = list[dict[str, Any]]


def compiled(documents: Documents) -> RuleSet:
    """The first is the policy `default`, another one beside it."""
    policies = [
        parse_policy(document, key=key, version=1)
        for key, document in zip(("default", "other"), documents, strict=False)
    ]
    return ruleset(*RULES, policies=policies)


def people() -> list[Person]:
    """Two live together; they agreed to marketing on some channels."""
    found = [
        Person(uid(f"person-{n}"), uid("home") if n < 2 else None, *ZONES[n]) for n in range(4)
    ]
    for n, person in enumerate(found):
        person.consents = {("marketing", channel): "granted" for channel in CHANNELS[: 1 + n % 2]}
    return found


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(POLICIES, min_size=1, max_size=2), min_size=2, max_size=2),
    st.sampled_from(STARTS),
    st.lists(STEPS, min_size=20, max_size=50),
)
def test_no_history_breaks_a_promise(
    configurations: list[Documents], start: datetime, steps: list[tuple[Any, ...]]
) -> None:
    rules = [compiled(documents) for documents in configurations]

    def check(world: World, one: Published) -> None:
        documents = configurations[rules.index(world.rules)]
        assert broken_promises(documents, world, one, HOLDOUTS) == []

    world = World(rules[0], people(), start, check)
    for wait, (name, *given_) in steps:
        world.waits(*wait)
        if name == "publishes":
            given_ = [rules[given_[0]]]
        getattr(world, name)(*given_)
    world.waits(20_000, 0)
    world.forget()
    assert not [row for row in world.rows.values() if row.flight is not None]
