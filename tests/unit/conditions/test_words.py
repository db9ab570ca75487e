"""Sentences, explanations and references: what people see of a condition."""

from typing import Any

import pytest

from shared.conditions.explain import MAX_SENTENCE, MAX_VALUE, Explained, Failure, explain
from shared.conditions.facts import Facts
from shared.conditions.leaves import leaf_hash, of_this_event, references
from shared.conditions.parse import parse_condition
from shared.conditions.sentence import sentence
from shared.conditions.tree import All, Compare, EventCount


def in_words(document: Any) -> str:
    return sentence(parse_condition(document, allow_event_leaves=True))


def why_not(document: Any, facts: Facts) -> Failure | None:
    return explain(parse_condition(document, allow_event_leaves=True), facts)


def leaf(attr: str, op: str, value: Any) -> dict[str, Any]:
    return {"attr": attr, "op": op, "value": value}


TOTAL = leaf("event.total", "gte", 50)
CONSENT = {"consent": {"purpose": "marketing", "channel": "email"}}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (TOTAL, "the event's total is at least 50"),
        (leaf("event.type", "eq", "Cart"), 'the event\'s type is "Cart"'),
        (leaf("profile.address.city", "ne", "Paris"), 'the profile\'s address.city is not "Paris"'),
        (leaf("profile.computed.orders", "gt", 1),
         "the profile's computed orders is greater than 1"),
        (leaf("context.ok", "eq", True), "the context's ok is true"),
        (leaf("event.x", "exists", True), "the event's x is known"),
        (leaf("event.x", "exists", False), "the event's x is not known"),
        ({"not": leaf("event.x", "exists", True)}, "the event's x is not known"),
        (leaf("event.x", "between", [1, 2]), "the event's x is between 1 and 2"),
        (leaf("event.x", "in", ["a"]), 'the event\'s x is one of "a"'),
        (leaf("event.x", "nin", [1, 2, 3]), "the event's x is none of 1, 2 or 3"),
        (leaf("event.x", "in", list(range(12))),
         "the event's x is one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 or 2 more"),
        (leaf("profile.tier", "changed_to", "gold"),
         'the profile\'s tier has just changed to "gold"'),
        ({"not": leaf("event.x", "contains", "a")}, 'the event\'s x does not contain "a"'),
        ({"not": {"segment": "vip"}}, 'the profile is not in the segment "vip"'),
        ({"not": {"persona": "p"}}, 'the persona is known and is not "p"'),
        (CONSENT, 'there is consent for "marketing" on "email"'),
        ({"not": CONSENT}, 'there is no consent for "marketing" on "email"'),
        ({"not": TOTAL}, "it is not so that (the event's total is at least 50)"),
        ({"all": [TOTAL, {"any": [{"segment": "vip"}, {"persona": "p"}]}]},
         "the event's total is at least 50 and "
         '(the profile is in the segment "vip" or the persona is "p")'),
        ({"event": "visit", "where": TOTAL, "count": {"gte": 2}, "within": "P1DT1H"},
         '"visit" happened at least 2 times in the last 1 day 1 hour '
         "where (the event's total is at least 50)"),
    ],
)  # fmt: skip
def test_a_sentence(document: Any, words: str) -> None:
    assert in_words(document) == words


def test_a_condition_that_holds_has_no_failure() -> None:
    assert why_not({"all": [TOTAL, {"not": {"segment": "x"}}]}, Facts(event={"total": 50})) is None


def test_the_first_clause_that_fails_and_the_value_it_saw() -> None:
    document = {"all": [TOTAL, {"segment": "vip"}, leaf("profile.age", "gte", 18)]}

    assert why_not(document, Facts(event={"total": "60.00"}, profile={"age": 17})) == Failure(
        'the profile is in the segment "vip"', expected=True, actual=False
    )
    assert why_not(document, Facts(segments={"vip"}, event={"total": 12})) == Failure(
        "the event's total is at least 50", expected=50, actual=12
    )
    assert why_not(document, Facts()) == Failure(
        "the event's total is at least 50", expected=50, actual=None
    )


@pytest.mark.parametrize(
    ("document", "expected", "actual"),
    [
        ({"not": TOTAL}, 50, 60),
        ({"not": {"segment": "vip"}}, False, True),
        ({"not": {"persona": "hunter"}}, {"not": "hunter"}, "hunter"),
        ({"persona": "loyal"}, "loyal", "hunter"),
        (CONSENT, "granted", "denied"),
        ({"consent": {"purpose": "service", "channel": "email"}}, "granted", None),
        ({"not": {"consent": {"purpose": "service", "channel": "sms"}}}, {"not": "granted"},
         "granted"),
        ({"not": leaf("event.total", "between", [1, 90])}, {"not": [1, 90]}, 60),
        ({"event": "visit"}, {"gte": 1}, None),
        ({"event": "visit", "within": "P1D", "count": {"gte": 3}}, {"gte": 3}, 2),
        ({"any": [{"persona": "loyal"}]}, "loyal", "hunter"),
    ],
)  # fmt: skip
def test_what_was_expected_and_seen(document: Any, expected: Any, actual: Any) -> None:
    visits = parse_condition({"event": "visit", "within": "P1D"}, allow_event_leaves=True)
    assert isinstance(visits, EventCount)
    facts = Facts(
        event={"total": 60},
        segments={"vip"},
        persona="hunter",
        consents={("marketing", "email"): "denied", ("service", "sms"): "granted"},
        leaves={leaf_hash(visits): {"count": 2, "until": None}},
    )

    failure = why_not(document, facts)

    assert failure is not None
    assert (failure.expected, failure.actual) == (expected, actual)


def test_alternatives_say_what_each_of_them_saw() -> None:
    document = {"any": [TOTAL, {"all": [{"segment": "vip"}, {"persona": "hunter"}]}]}

    assert why_not(document, Facts(event={"total": 12}, segments={"vip"})) == Failure(
        "the event's total is at least 50 or "
        '(the profile is in the segment "vip" and the persona is "hunter")',
        expected="one of 2",
        actual=[12, None],
    )


def test_an_explanation_is_small_whatever_it_saw() -> None:
    document = leaf("event.x", "in", ["y" * 1000] * 1000)
    long_texts = {"any": [leaf("event.x", "starts_with", "z" * 900)] * 90}
    for value in ("x" * 100_000, ["x" * 1000] * 1000, {"k": "x" * 100_000}, [[1] * 10_000]):
        for asked in (document, long_texts):
            failure = why_not(asked, Facts(event={"x": value}))
            assert failure is not None
            assert len(failure.condition) <= MAX_SENTENCE
            assert len(repr(failure.expected)) < 20 * MAX_VALUE
            assert len(repr(failure.actual)) < 20 * MAX_VALUE


def test_an_explained_condition_is_asked_again_and_again() -> None:
    explained = Explained(parse_condition(TOTAL))

    seen = [explained.failure(Facts(event={"total": total})) for total in (49, 50, 48)]

    assert [failure and failure.actual for failure in seen] == [49, None, 48]


def test_what_a_condition_refers_to() -> None:
    often = {"event": "visit", "count": {"gte": 3}, "within": "P1W", "where": TOTAL}
    once = {"event": "visit", "count": {"gte": 1}, "within": "P7D", "where": TOTAL}
    condition = parse_condition(
        {"any": [often, {"not": once}, {"segment": "vip"}, {"all": [{"segment": "new"}, CONSENT]},
                 {"persona": "p"}, leaf("profile.age", "gt", 1), {"segment": "vip"}]},
        allow_event_leaves=True,
    )  # fmt: skip

    found = references(condition)

    assert found.attributes == ("profile.age",)
    assert found.segments == ("new", "vip")
    assert found.personas == ("p",)
    assert found.consents == (("marketing", "email"),)
    assert [event.count for event in found.event_leaves] == [3]


def test_a_history_is_named_by_what_it_counts_and_not_by_how_many() -> None:
    def name(**fields: Any) -> str:
        leaf = parse_condition({"event": "visit", **fields}, allow_event_leaves=True)
        assert isinstance(leaf, EventCount)
        return leaf_hash(leaf)

    assert name(within="P1W") == name(within="PT168H", count={"lt": 9})
    assert len({name(), name(within="P1W"), name(where=TOTAL), name(within="P8D")}) == 4
    # SHA-256 of {"event":"visit"}. Others store it, so it must never change.
    assert name() == "b19059cebc8e8db845843c2664847924"


def test_an_event_leaf_as_a_condition_on_the_event_at_hand() -> None:
    total = Compare("event.total", "gte", 50)
    is_visit = Compare("event.type", "eq", "visit")

    assert of_this_event(EventCount("visit")) == is_visit
    assert of_this_event(EventCount("visit", total)) == All((is_visit, total))
    with pytest.raises(ValueError, match="count"):
        of_this_event(EventCount("visit", count=2))
