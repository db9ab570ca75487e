"""Laws of conditions: every back end says what the naive interpreter says."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.conditions.closure import compile_condition
from shared.conditions.contradiction import contradiction
from shared.conditions.explain import explain
from shared.conditions.facts import Facts
from shared.conditions.index import ConditionIndex, Entry
from shared.conditions.leaves import leaf_hash, references
from shared.conditions.mistakes import MAX_MISTAKES
from shared.conditions.normal import normal_form
from shared.conditions.parse import parse_condition, read_condition
from shared.conditions.sentence import sentence
from shared.conditions.tree import All, Condition, Not, to_json
from shared.conditions.tree import Any as AnyOf
from shared.errors import Problem
from tests.property.conditions import generated, naive


@settings(max_examples=400, deadline=None)
@given(generated.documents_and_facts())
def test_the_closure_says_what_the_naive_interpreter_says(case: tuple[Any, Facts]) -> None:
    document, facts = case
    condition = parse_condition(document, allow_event_leaves=True)

    assert compile_condition(condition)(facts) is naive.holds(document, facts)


@settings(max_examples=200, deadline=None)
@given(generated.documents_and_facts())
def test_a_negation_is_true_exactly_when_its_part_is_known_to_be_false(
    case: tuple[Any, Facts],
) -> None:
    document, facts = case
    negation = parse_condition({"not": document}, allow_event_leaves=True)

    assert compile_condition(negation)(facts) is (naive.truth(document, facts) is False)


@settings(max_examples=200, deadline=None)
@given(generated.documents_and_facts())
def test_an_explanation_is_given_exactly_when_the_condition_does_not_hold(
    case: tuple[Any, Facts],
) -> None:
    document, facts = case
    condition = parse_condition(document, allow_event_leaves=True)
    failure = explain(condition, facts)

    assert (failure is None) is naive.holds(document, facts)
    assert failure is None or failure.condition


@settings(max_examples=100, deadline=None)
@given(generated.documents_with_events)
def test_a_condition_survives_json_and_normal_form_and_has_a_sentence(document: Any) -> None:
    condition = parse_condition(document, allow_event_leaves=True)

    again = parse_condition(to_json(condition), allow_event_leaves=True)
    assert repr(again) == repr(condition)  # repr, because 1 equals True
    assert _negations_hold_leaves(normal_form(condition))
    assert sentence(condition)


def _negations_hold_leaves(condition: Condition) -> bool:
    match condition:
        case All(parts) | AnyOf(parts):
            return all(_negations_hold_leaves(part) for part in parts)
        case Not(part):
            return not isinstance(part, All | AnyOf | Not)
        case _:
            return True


routed = st.lists(
    st.tuples(
        st.one_of(st.none(), st.sampled_from(["a", "b"])),
        st.one_of(
            st.none(),
            generated.documents,
            generated.documents_with_events,
            st.lists(generated.comparisons, min_size=1, max_size=5).map(lambda x: {"all": x}),
        ),
    ),
    max_size=30,
)


@st.composite
def routed_events(draw: st.DrawFn) -> tuple[list[tuple[str | None, Any]], list[Facts]]:
    """Rules, and events of people of whom some of the rules' counts are known."""
    rules, events = draw(routed), draw(st.lists(generated.facts, min_size=1, max_size=8))
    names = {
        leaf_hash(leaf)
        for _, document in rules
        if document is not None
        for leaf in references(parse_condition(document, allow_event_leaves=True)).event_leaves
    }
    for facts in events:
        counts = {name: draw(st.one_of(st.none(), st.integers(0, 4))) for name in sorted(names)}
        facts.leaves = {name: {"count": n} for name, n in counts.items() if n is not None}
    return rules, events


@settings(max_examples=150, deadline=None)
@given(routed_events())
def test_the_index_routes_as_asking_every_condition_does(
    case: tuple[list[tuple[str | None, Any]], list[Facts]],
) -> None:
    rules, events = case
    index = ConditionIndex(
        Entry(
            key,
            event_type,
            None if document is None else parse_condition(document, allow_event_leaves=True),
        )
        for key, (event_type, document) in enumerate(rules)
    )

    for place, facts in enumerate(events):
        facts.event_type = ("a", "b", "c")[place % 3]
        asked = [
            (event_type is None, key)
            for key, (event_type, document) in enumerate(rules)
            if event_type in (None, facts.event_type)
            and (document is None or naive.holds(document, facts))
        ]
        assert index.match(facts) == [key for _, key in sorted(asked)]


@settings(max_examples=500, deadline=None)
@given(generated.any_json, st.booleans())
def test_the_parser_raises_nothing_but_its_own_error(document: Any, allow: bool) -> None:
    problems: list[Problem] = []
    condition = read_condition(document, problems, allow_event_leaves=allow)

    assert (condition is None) is (len(problems) > 0)
    assert len(problems) <= MAX_MISTAKES
    for problem in problems:
        assert problem.path.startswith("condition")
        assert problem.rule
        assert problem.message
    if condition is not None:
        compile_condition(condition)(Facts())
        assert sentence(condition)
        explain(condition, Facts())


@given(generated.documents_and_facts())
def test_what_never_holds_holds_for_no_facts(case: tuple[Any, Facts]) -> None:
    document, facts = case
    condition = parse_condition(document, allow_event_leaves=True)
    if contradiction(condition) is not None:
        assert naive.truth(document, facts) is not True
    clash = All((condition, Not(condition)))
    assert not compile_condition(clash)(facts)


@given(st.lists(generated.comparisons_of("profile.a"), min_size=2, max_size=3), generated.values)
def test_comparisons_of_one_attribute_that_never_hold_do_not(parts: list[Any], value: Any) -> None:
    condition = parse_condition({"all": parts})
    asked = [part["value"] for part in parts]
    if contradiction(condition) is not None:
        holds = compile_condition(condition)
        for candidate in [
            value,
            *asked,
            *(one for some in asked if isinstance(some, list) for one in some),
        ]:
            assert not holds(Facts(profile={"a": candidate}))
