"""How often a read-out is wrong, over 2,000 fixed seeds with nothing, or something, to find.

People who convert are drawn as bits: of `n` random bits, and of three, or two, drawn together, the
ones are a binomial count of 1/8, or 1/4. So it is exact, and fast.
"""

import math
from collections.abc import Iterator
from random import Random
from statistics import fmean, variance

import pytest

from services.orchestrator.domain.experiments.assignment import Running, assign, publish
from services.orchestrator.domain.experiments.cuped import adjust
from services.orchestrator.domain.experiments.experiment_document import parse_experiment
from services.orchestrator.domain.experiments.intervals import (
    newcombe,
    welch,
    welch_p,
)
from services.orchestrator.domain.experiments.lift import lift
from services.orchestrator.domain.experiments.readout import Counted, read_out
from services.orchestrator.domain.experiments.sample_ratio import sample_ratio
from services.orchestrator.domain.experiments.sequential import FEWEST, sequence, share_error
from services.orchestrator.domain.experiments.tally import Tally
from tests.unit.orchestrator.experiments.build import (
    ORDERS,
    REFUSALS,
    conversions,
    experiment_json,
    tally_of,
)

SEEDS = range(2_000)
HALF = {"control": 50.0, "push": 50.0}
PEEKS = 40


def share(wrong: int) -> float:
    return wrong / len(SEEDS)


def drawn(random: Random, n: int, *, bits: int = 3) -> int:
    """How many of `n` people convert when each does so with probability 1 in 2 to the `bits`."""
    found = random.getrandbits(n)
    for _ in range(bits - 1):
        found &= random.getrandbits(n)
    return found.bit_count()


def spent(random: Random, n: int) -> Tally:
    """What `n` people spend, 50 on average: many a little, few a lot."""
    amounts = [random.expovariate(0.02) for _ in range(n)]
    return Tally(n, sum(amounts), sum(amount * amount for amount in amounts))


def a_test(seed: int, **fields: object) -> Running:
    """An experiment of two arms that differ in nothing but their salt, which is the seed."""
    document = experiment_json(**fields)
    return publish(parse_experiment(document, key=f"a-a-{seed}", version=1), None, [])


def test_one_look_at_shares_is_wrong_as_often_as_it_says() -> None:
    wrong = 0
    for seed in SEEDS:
        random = Random(seed)
        both = (drawn(random, 2_000), 2_000), (drawn(random, 2_000), 2_000)
        wrong += newcombe(*both, 0.05).excludes_zero
    assert share(wrong) == pytest.approx(0.05, abs=0.01)


def test_one_look_at_amounts_is_wrong_as_often_as_it_says() -> None:
    wrong = 0
    for seed in SEEDS:
        random = Random(seed)
        control, arm = spent(random, 200).moments, spent(random, 200).moments
        wrong += welch_p(control, arm) < 0.05
    assert share(wrong) == pytest.approx(0.05, abs=0.01)


def test_the_same_people_split_by_2000_salts_differ_as_often_as_chance_does() -> None:
    """Nothing is drawn but who is who: the arms are those that customers get."""
    random = Random(7)
    people = [(f"customer-{n}", random.lognormvariate(3.0, 1.0)) for n in range(250)]
    first = a_test(0)
    wrong = 0
    for seed in SEEDS:
        arms: dict[str, list[tuple[float, None]]] = {"control": [], "push": []}
        for unit, spent in people:
            arms[first.split.of(f"salt-{seed}", unit)[0]].append((spent, None))
        wrong += welch_p(tally_of(arms["control"]).moments, tally_of(arms["push"]).moments) < 0.05
    assert share(wrong) == pytest.approx(0.05, abs=0.01)


def test_whole_read_outs_of_a_against_a_call_a_winner_one_time_in_forty() -> None:
    """Of the 5 % that are wrong, half are a loss."""
    one = a_test(0, sample=4_000, min_runtime="P7D")
    outcomes: dict[str, int] = {}
    for seed in SEEDS:
        random = Random(seed)
        tallies = {arm: conversions(2_000, drawn(random, 2_000)) for arm in HALF}
        exposed = {"control": 2_000, "push": 2_000}
        found = read_out(one, Counted(exposed, one.experiment.min_runtime, {"orders": tallies}))
        outcomes[found.verdict.outcome] = outcomes.get(found.verdict.outcome, 0) + 1
    assert set(outcomes) == {"winner", "no_difference"}
    assert share(outcomes["winner"]) == pytest.approx(0.025, abs=0.01)


def looks(random: Random, *, bits: tuple[int, int]) -> Iterator[tuple[tuple[int, int], ...]]:
    """(converted, people) of control and arm at each look, 100 people more in each every time."""
    control = arm = 0
    for look in range(1, PEEKS + 1):
        control += drawn(random, 100, bits=bits[0])
        arm += drawn(random, 100, bits=bits[1])
        yield (control, look * 100), (arm, look * 100)


def ever_excludes(random: Random, truth: float, *, bits: tuple[int, int]) -> tuple[bool, bool]:
    """Whether the interval for one look, and that for any number, ever misses the truth."""
    fixed = sequential = False
    for control, arm in looks(random, bits=bits):
        n = control[1] + arm[1]
        difference = arm[0] / arm[1] - control[0] / control[1]
        low, high = newcombe(control, arm, 0.05)
        fixed |= not low <= truth <= high
        low, high = sequence(
            difference, share_error(control, arm), n, planned=PEEKS * 200, alpha=0.05
        )
        sequential |= not low <= truth <= high
    return fixed, sequential


@pytest.mark.parametrize(("bits", "truth"), [((3, 3), 0.0), ((3, 2), 0.125), ((7, 7), 0.0)])
def test_forty_looks_are_safe_with_the_sequential_interval_alone(
    bits: tuple[int, int], truth: float
) -> None:
    found = [ever_excludes(Random(seed), truth, bits=bits) for seed in SEEDS]
    assert share(sum(sequential for _, sequential in found)) <= 0.05
    assert share(sum(fixed for fixed, _ in found)) > 0.2, "why there is a sequential one"


def test_forty_looks_at_amounts_are_safe_too() -> None:
    wrong = 0
    for seed in SEEDS:
        random = Random(seed)
        arms = [Tally(), Tally()]
        for _ in range(PEEKS):
            arms = [one + spent(random, 10) for one in arms]
            if arms[0].n < FEWEST:
                continue
            control, arm = arms[0].moments, arms[1].moments
            error = math.sqrt(control.squared_error + arm.squared_error)
            low, high = sequence(
                arm.mean - control.mean, error, 2 * arm.n, planned=PEEKS * 20, alpha=0.05
            )
            if not low <= 0.0 <= high:
                wrong += 1
                break
    assert share(wrong) <= 0.05


def test_an_experiment_without_harm_is_hardly_ever_stopped() -> None:
    one = a_test(0, metrics={"primary": ORDERS, "guardrails": [REFUSALS]}, sample=8_000)
    stopped = 0
    seeds = range(200)
    for seed in seeds:
        random, harmed = Random(seed), False
        refused = looks(random, bits=(5, 5))
        for look, (orders, refusals) in enumerate(
            zip(looks(random, bits=(3, 3)), refused, strict=True)
        ):
            if look % 8:
                continue
            tallies = {
                metric: {"control": conversions(both[0][1], both[0][0]),
                         "push": conversions(both[1][1], both[1][0])}
                for metric, both in (("orders", orders), ("refusals", refusals))
            }  # fmt: skip
            exposed = {"control": orders[0][1], "push": orders[1][1]}
            counted = Counted(exposed, one.experiment.min_runtime, tallies)
            harmed |= bool(read_out(one, counted).verdict.harms)
        stopped += harmed
    assert stopped / len(seeds) <= 0.05


def test_real_harm_is_stopped_long_before_the_end() -> None:
    found = []
    for seed in range(300):
        for control, arm in looks(Random(seed), bits=(2, 3)):
            n = control[1] + arm[1]
            difference = arm[0] / arm[1] - control[0] / control[1]
            error = share_error(control, arm)
            if sequence(difference, error, n, planned=8_000, alpha=0.05).high < 0.0:
                found.append(n)
                break
    assert len(found) == 300
    assert fmean(found) < 2_000, "a quarter of the 8,000 that were planned"


def test_what_the_fixed_size_buys() -> None:
    """5 % against 6 % with 8,158 people in each arm, the size that was worked out for 80 %."""
    random, found = Random(5), 0
    for _ in SEEDS:
        both = [
            (max(0, round(random.gauss(8_158 * p, math.sqrt(8_158 * p * (1 - p))))), 8_158)
            for p in (0.05, 0.06)
        ]
        found += newcombe(both[0], both[1], 0.05).low > 0.0
    assert share(found) == pytest.approx(0.80, abs=0.03)


def test_the_sample_ratio_is_quiet_where_nothing_is_wrong() -> None:
    alarms = 0
    for seed in SEEDS:
        push = drawn(Random(seed), 100_000, bits=1)
        alarms += sample_ratio({"control": 100_000 - push, "push": push}, HALF).alarm
    assert share(alarms) <= 0.003


def test_the_sample_ratio_may_be_looked_at_forty_times() -> None:
    alarms = 0
    for seed in SEEDS:
        random, push, fired = Random(seed), 0, False
        for look in range(1, PEEKS + 1):
            push += drawn(random, 2_500, bits=1)
            fired |= sample_ratio({"control": look * 2_500 - push, "push": push}, HALF).alarm
        alarms += fired
    assert share(alarms) <= 0.015


def test_the_sample_ratio_fires_when_one_in_fifty_of_an_arm_is_lost() -> None:
    """49 to 51 with 100,000 people, drawn and not only on average."""
    for seed in range(40):
        random = Random(seed)
        push = sum(random.random() < 0.49 for _ in range(100_000))
        assert sample_ratio({"control": 100_000 - push, "push": push}, HALF).alarm


@pytest.mark.parametrize(("rho", "known"), [(0.7, 1.0), (0.5, 1.0), (0.0, 1.0), (0.7, 0.5)])
def test_cuped_keeps_the_effect_and_shrinks_the_variance_by_the_square_of_rho(
    rho: float, known: float
) -> None:
    """Of people without a covariate nothing is taken out; of half of them, half as much."""
    random, effect, n = Random(11), 0.3, 100
    plain, adjusted, covered, reductions = [], [], 0, []
    for _ in SEEDS:
        arms = {}
        for arm, shift in (("control", 0.0), ("push", effect)):
            people: list[tuple[float, float | None]] = []
            for _ in range(n):
                before = random.gauss()
                outcome = rho * before + math.sqrt(1 - rho * rho) * random.gauss() + shift
                people.append((outcome, before if random.random() < known else None))
            arms[arm] = tally_of(people)
        found = adjust(arms)
        assert found is not None
        control, push = found.moments["control"], found.moments["push"]
        plain.append(arms["push"].moments.mean - arms["control"].moments.mean)
        adjusted.append(push.mean - control.mean)
        low, high = welch(control, push, 0.05)
        covered += low <= effect <= high
        reductions.append(found.reduction)
    left = 1 - rho * rho * known
    error = math.sqrt(2 / n * left / len(SEEDS))
    assert fmean(adjusted) == pytest.approx(effect, abs=4 * error)
    assert variance(adjusted) / variance(plain) == pytest.approx(left, abs=0.06)
    assert fmean(reductions) == pytest.approx(1 - left, abs=0.02)
    assert share(covered) == pytest.approx(0.95, abs=0.01)


def test_the_lift_over_a_small_holdout_covers_the_truth() -> None:
    covered = 0
    for seed in SEEDS:
        random = Random(seed)
        found = lift(
            held_out=conversions(1_000, drawn(random, 1_000)),
            reached=conversions(19_000, drawn(random, 19_000, bits=2)),
            percent=5,
            kind="conversion",
        )
        assert found.effect is not None
        covered += found.effect.fixed.low <= 0.125 <= found.effect.fixed.high
    assert share(covered) == pytest.approx(0.95, abs=0.01)


def test_the_arm_of_a_customer_is_the_one_the_split_says() -> None:
    one = a_test(3)
    for n in range(500):
        unit = f"customer-{n}"
        assert assign(one, unit).arm == one.split.of("a-a-3", unit)[0]
