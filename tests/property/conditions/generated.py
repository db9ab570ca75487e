"""Generated conditions (as JSON), facts and arbitrary JSON, small enough to meet each other."""

from typing import Any

from hypothesis import strategies as st

from shared.conditions.facts import Facts
from shared.conditions.leaves import leaf_hash, references
from shared.conditions.parse import parse_condition

TIMES = [
    "2026-11-21T10:00:00Z",
    "2026-11-21T11:00:00+01:00",
    "2026-11-21t09:59:59.999999z",
    "2026-11-21T10:00:00.0000009Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
]
NOT_TIMES = ["2026-11-21", "2026-02-30T10:00:00Z", "2026-11-21T10:00:00", "2026-11-21T24:00:00Z"]
NUMBERS: list[int | float] = [
    0, 1, 2, 5, 5.0, 5.5, -1, 0.1, 0.30000000000000004, -0.0, 1e300,
    2**53, 2**53 + 1, float(2**53), 2**63 - 1, 159.9,
]  # fmt: skip
DECIMALS = ["5", "5.0", "5.50", "159.90", "-1", "0", "-0", "007", "1e3", " 5", "+5", "5.", "٥"]
WORDS = ["a", "ab", "b", "gold", "Gold", "é", "", "true"]

times = st.sampled_from(TIMES)
numbers = st.sampled_from(NUMBERS)
texts = st.sampled_from(TIMES + NOT_TIMES + DECIMALS + WORDS)
scalars = st.one_of(st.booleans(), numbers, texts)
values = st.recursive(
    st.one_of(st.none(), scalars),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
    ),
    max_leaves=4,
)
objects = st.dictionaries(st.sampled_from("abc"), values, max_size=3)

EVENT_ATTRIBUTES = [
    "event.a", "event.b", "event.c.a", "event.type", "event.channel", "event.source",
    "context.a", "context.b.a.c",
]  # fmt: skip
PROFILE_ATTRIBUTES = [
    "profile.a", "profile.b", "profile.c.a", "profile.computed.a",
    "profile.household", "profile.account", "profile.accounts",
    "household.a", "household.c.a", "household.size", "account.b",
]  # fmt: skip
CANNOT_CHANGE = ("profile.household", "profile.account", "profile.accounts")


def _compare(attr: str, op: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return value.map(lambda operand: {"attr": attr, "op": op, "value": operand})


def _ordered_pair(element: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(element, element).map(list)


def _comparison(attr: str) -> st.SearchStrategy[Any]:
    word = st.sampled_from([text for text in TIMES + NOT_TIMES + DECIMALS + WORDS if text])
    is_envelope = attr in ("event.type", "event.channel", "event.source")
    single = texts if is_envelope else scalars
    number_or_text = texts if is_envelope else st.one_of(numbers, texts)
    lists: list[st.SearchStrategy[list[Any]]] = [
        st.lists(texts, min_size=1, max_size=4),
        st.lists(times, min_size=1, max_size=2),
    ]
    pairs = [_ordered_pair(times).filter(_in_order), _ordered_pair(texts).filter(_in_order)]
    if not is_envelope:
        lists += [st.lists(numbers, min_size=1, max_size=4), st.lists(st.booleans(), min_size=1)]
        pairs += [_ordered_pair(numbers).filter(_in_order)]
    choices = [_compare(attr, op, single) for op in ("eq", "ne")]
    choices += [_compare(attr, op, number_or_text) for op in ("gt", "gte", "lt", "lte")]
    choices += [_compare(attr, op, st.one_of(lists)) for op in ("in", "nin")]
    choices += [
        _compare(attr, "between", st.one_of(pairs)),
        _compare(attr, "contains", single.filter(lambda value: value != "")),
        _compare(attr, "starts_with", word),
        _compare(attr, "exists", st.booleans()),
    ]
    if attr.startswith("profile.") and attr not in CANNOT_CHANGE:
        choices.append(_compare(attr, "changed_to", scalars))
    return st.one_of(choices)


def _in_order(pair: list[Any]) -> bool:
    """Whether the parser takes the pair: both ends of one kind, the lower one first."""
    low, high = pair
    times_among = [end for end in pair if end in TIMES]
    if len(times_among) == 2:
        instants = {text: place for place, group in enumerate(_TIMES_IN_ORDER) for text in group}
        return instants[low] <= instants[high]
    return not times_among and bool(low <= high)


_TIMES_IN_ORDER = [
    [TIMES[4]],
    [TIMES[2]],
    [TIMES[0], TIMES[1], TIMES[3]],
    [TIMES[5]],
]

# Built once: making a strategy costs more than drawing from it.
_BY_ATTRIBUTE = {attr: _comparison(attr) for attr in EVENT_ATTRIBUTES + PROFILE_ATTRIBUTES}


@st.composite
def _compared(draw: st.DrawFn, attributes: list[str]) -> Any:
    return draw(_BY_ATTRIBUTE[draw(st.sampled_from(attributes))])


def comparisons_of(attr: str) -> st.SearchStrategy[Any]:
    """Comparisons of one attribute."""
    return _BY_ATTRIBUTE[attr]


event_comparisons = _compared(EVENT_ATTRIBUTES)
comparisons = _compared(EVENT_ATTRIBUTES + PROFILE_ATTRIBUTES)


def _groups(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    parts = st.lists(inner, min_size=1, max_size=4)
    return st.one_of(
        parts.map(lambda found: {"all": found}),
        parts.map(lambda found: {"any": found}),
        inner.map(lambda part: {"not": part}),
    )


event_leaves = st.fixed_dictionaries(
    {"event": st.sampled_from(["Order Completed", "visit"])},
    optional={
        "where": event_comparisons,
        "count": st.builds(
            lambda op, bound: {op: bound},
            st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]),
            st.integers(0, 3),
        ),
        "within": st.sampled_from(["P30D", "PT2H", "P1W"]),
    },
)
other_leaves = st.one_of(
    st.sampled_from(["vip", "new", "lapsed"]).map(lambda key: {"segment": key}),
    st.sampled_from(["hunter", "loyal"]).map(lambda key: {"persona": key}),
    st.builds(
        lambda purpose, channel: {"consent": {"purpose": purpose, "channel": channel}},
        st.sampled_from(["marketing", "service"]),
        st.sampled_from(["email", "sms"]),
    ),
)
# Documents for places where event leaves are refused, and for those where they are not.
documents = st.recursive(st.one_of(comparisons, comparisons, other_leaves), _groups, max_leaves=8)
documents_with_events = st.recursive(
    st.one_of(comparisons, comparisons, other_leaves, event_leaves), _groups, max_leaves=8
)

consents = st.dictionaries(
    st.tuples(st.sampled_from(["marketing", "service"]), st.sampled_from(["email", "sms", "*"])),
    st.sampled_from(["granted", "denied", "pending", "expired"]),
)
group_facts = st.dictionaries(st.sampled_from(["a", "b", "c", "id", "size"]), values, max_size=3)
facts = st.builds(
    Facts,
    household=group_facts,
    account=group_facts,
    links=st.fixed_dictionaries({}, optional={"accounts": st.lists(texts, max_size=3)}),
    profile=objects,
    computed=objects,
    event=objects,
    event_type=st.one_of(st.none(), texts),
    event_channel=st.one_of(st.none(), texts),
    event_source=st.one_of(st.none(), texts),
    context=objects,
    segments=st.frozensets(st.sampled_from(["vip", "new", "lapsed"])),
    persona=st.sampled_from([None, "hunter", "loyal"]),
    consents=consents,
    changed=st.dictionaries(st.sampled_from(["a", "b", "c", "computed.a"]), values),
)


@st.composite
def documents_and_facts(draw: st.DrawFn) -> tuple[Any, Facts]:
    """A condition that may count events, and facts that know some of the counts."""
    document, known = draw(documents_with_events), draw(facts)
    leaves = references(parse_condition(document, allow_event_leaves=True)).event_leaves
    counts = {leaf_hash(leaf): draw(st.one_of(st.none(), st.integers(0, 4))) for leaf in leaves}
    known.leaves = {
        name: {"count": count, "until": None} for name, count in counts.items() if count is not None
    }
    return document, known


# Anything that JSON can say, made partly of the words that conditions use.
_keys = st.one_of(
    st.sampled_from(
        [
            "all",
            "any",
            "not",
            "attr",
            "op",
            "value",
            "event",
            "where",
            "count",
            "within",
            "segment",
            "persona",
            "consent",
            "purpose",
            "channel",
            "gte",
        ]
    ),
    st.text(max_size=5),
)
_anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(EVENT_ATTRIBUTES + PROFILE_ATTRIBUTES),
    st.sampled_from(["eq", "in", "between", "exists", "changed_to", "starts_with", "P1D", ">="]),
)
any_json = st.recursive(
    _anything,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_keys, inner, max_size=4)),
    max_leaves=20,
)
