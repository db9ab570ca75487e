"""A choice on the page of preferences does what was chosen, and nothing beside."""

from hypothesis import given
from hypothesis import strategies as st

from services.profile.domain.consent import ConsentRecord, Consents, holding
from services.profile.domain.consent_change import ConsentChange, apply_changes
from services.profile.domain.consent_rules import ConsentRules, Purpose, Refused
from services.profile.domain.preferences import ON, choose, preferences

AT = "2026-12-01T00:00:00.000Z"
RULES = ConsentRules(
    {
        "news": Purpose("news", "News", ("consent",), channels=("email", "sms")),
        "ads": Purpose("ads", "Ads", ("consent", "contract"), True, channels=("email", "sms")),
        "tips": Purpose("tips", "Tips", ("legitimate_interest",), channels=("email",)),
    }
)
PURPOSES, CHANNELS = ("news", "ads", "tips", "undeclared"), ("email", "sms", "push", "*")
consents = st.dictionaries(
    st.tuples(st.sampled_from((*PURPOSES, "*", "*stop")), st.sampled_from(CHANNELS)).map("\0".join),
    st.builds(
        ConsentRecord,
        st.sampled_from(["granted", "denied"]),
        st.just("2026-11-01T00:00:00.000Z"),
        st.sampled_from(["consent", None]),
    ),
    max_size=8,
)


def record(held: Consents, changes: list[ConsentChange]) -> Consents:
    after = dict(held)
    for change in changes:
        admitted = RULES.admit(change, AT)
        assert not isinstance(admitted, Refused), admitted
        apply_changes(after, [admitted], AT, str)
    return after


@given(consents, st.data())
def test_what_is_ticked_is_on_and_nothing_else_comes_on(
    held: Consents, data: st.DataObject
) -> None:
    lines = preferences(held, RULES, AT)
    shown = [line.pair for line in lines]
    was = [line.pair for line in lines if line.is_on]
    on = data.draw(st.sets(st.sampled_from(shown)))
    changes = choose(held, RULES, shown=shown, was=was, on=on, at=AT)
    before, after = holding(held, AT), holding(record(held, changes), AT)
    for pair in shown:
        assert (after.get(pair) in ON) is (pair in on), pair
    for purpose in PURPOSES:
        for channel in (*CHANNELS, "never heard of"):
            pair = (purpose, channel)
            if pair not in on and before.get(pair) not in ON:
                assert after.get(pair) not in ON, pair


@given(consents)
def test_leaving_everything_as_it_is_changes_nothing(held: Consents) -> None:
    lines = preferences(held, RULES, AT)
    was = [line.pair for line in lines if line.is_on]
    assert choose(held, RULES, shown=[line.pair for line in lines], was=was, on=was, at=AT) == []
