"""Laws of the gate and of exposures: for all experiments, people and orders of what is told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.domain.contact_gates import other_arm
from services.orchestrator.domain.experiments.assignment import Running
from services.orchestrator.domain.experiments.exposure import Exposure, Place, firsts
from services.orchestrator.domain.experiments.in_force import Assigned, Experiments
from services.orchestrator.domain.rule import InArms
from tests.unit.orchestrator.build import rule
from tests.unit.orchestrator.experiments.build import arms, running

AT = datetime(2026, 11, 1, tzinfo=UTC)
RULE = rule()
ARMS = ("control", "push", "mail")
RUNNING = st.builds(
    lambda traffic, share, stopped, winner, ended: replace(
        running(traffic=traffic, arms=arms(control=40, push=share, mail=60 - share)),
        stopped=frozenset(stopped),
        winner=winner,
        ended=ended,
    ),
    st.integers(0, 100),
    st.integers(0, 60),
    st.sets(st.sampled_from(ARMS[1:])),
    st.sampled_from([None, None, None, *ARMS]),
    st.booleans(),
)
PEOPLE = st.uuids().map(str) | st.none()
EXPOSURES = st.lists(
    st.builds(
        lambda experiment, person, arm, hours, seq: Exposure(
            experiment, person, arm, 1, AT + timedelta(hours=hours), seq, 1, Place("rule", "r")
        ),
        st.sampled_from("xy"),
        st.sampled_from("ab"),
        st.sampled_from(ARMS),
        st.integers(0, 5),
        st.integers(1, 9),
    ),
    max_size=20,
)


def lets_in(named: tuple[str, ...], found: Assigned | None) -> bool:
    return other_arm(replace(RULE, experiment=InArms("cart-test", named)), found) is None


def place(one: Exposure) -> tuple[str, str]:
    return one.experiment, one.profile_id


@settings(max_examples=300, deadline=None)
@given(RUNNING, PEOPLE)
def test_of_rules_that_share_the_arms_out_exactly_one_acts(
    one: Running, person: str | None
) -> None:
    found = Experiments([one]).assign("cart-test", person)
    assert found is not None
    assert sum(lets_in((arm,), found) for arm in ARMS) == 1
    assert lets_in(ARMS, found)
    assert not (found.exposed and (one.is_over or person is None or found.arm in one.stopped))
    if not found.exposed:
        assert found.arm == (one.winner or "control")


@settings(max_examples=300, deadline=None)
@given(EXPOSURES, st.randoms(use_true_random=False), st.integers(1, 7))
def test_in_whatever_order_and_parts_exposures_come_the_same_is_known(
    told: list[Exposure], random: Random, size: int
) -> None:
    shuffled = list(told)
    random.shuffle(shuffled)
    parts = [firsts(shuffled[n : n + size]) for n in range(0, len(shuffled), size)]
    together = firsts([one for part in parts for one in part])
    assert sorted(together, key=place) == sorted(firsts(told), key=place)
    assert len({place(one) for one in together}) == len(together)
