"""How many profiles a condition holds for, before anything is saved, and who the first few are."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.assess import assess
from services.profile.domain.compile_definitions import compile_definitions
from services.profile.domain.condition_types import check_traits
from services.profile.domain.definitions import InForce, Look, not_in_force
from services.profile.domain.profile import StoredProfile
from services.profile.domain.segment import Segment
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import population, profiles
from services.profile.use_cases import look_again
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.read_profile import expire_consents
from shared.conditions.leaves import references
from shared.conditions.tree import Condition
from shared.errors import Problem, Unprocessable

SAMPLE = 10
"""So many profiles are shown."""
ASKED = 1_000
"""Where the history of everybody would have to be read, so many are asked."""
_KEY = "$preview"


@dataclass(frozen=True, slots=True)
class Preview:
    """`exact`: everybody was asked. Else the count is that of a random sample, scaled up."""

    count: int
    exact: bool
    sample: list[StoredProfile]


async def preview(
    tx: AsyncConnection, condition: Condition, *, rules: Rules, live: LiveDefinitions
) -> Preview:
    """Who the condition holds for now. Raises Unprocessable when it names what is not there, or
    asks of a trait what it can never answer."""
    look = await live.look(tx)
    wrong = check_traits(condition, look.definitions.traits_in_force)
    if wrong:
        raise Unprocessable("the condition does not fit the traits in force", wrong)
    named = references(condition)
    missing = not_in_force(named.segments, named.personas, look.definitions)
    if missing is not None:
        problem = Problem("condition", missing.rule, missing.says)
        raise Unprocessable("the condition names what is not there", [problem])
    if population.is_countable(condition, look.definitions):
        count, ids = await population.matching(tx, condition, look.definitions, sample=SAMPLE)
        return Preview(count, True, await _read(tx, ids))
    total, asked = await population.some(tx, ASKED)
    holding = await _ask(tx, asked, condition, look, rules)
    count = round(len(holding) * total / len(asked)) if asked else 0
    return Preview(count, len(asked) == total, await _read(tx, holding[:SAMPLE]))


async def _read(tx: AsyncConnection, ids: list[str]) -> list[StoredProfile]:
    found = [await profiles.read(tx, id_) for id_ in ids]
    people = [one for one in found if one is not None]
    await expire_consents(tx, people)
    return people


async def _ask(
    tx: AsyncConnection,
    asked: list[StoredProfile],
    condition: Condition,
    look: Look,
    rules: Rules,
) -> list[str]:
    """Ids of the profiles that the condition holds for, by their whole history."""
    epoch = look.definitions.epoch + 1
    only = compile_definitions(
        epoch=epoch,
        floor=0,
        in_force=[InForce(Segment(_KEY, _KEY, condition), epoch)],
        streams_since={},
    )
    once = Look(only, look.now)
    people = [WorkingProfile(one, rules.traits) for one in asked]
    await look_again.read_history(tx, people, once)
    for one in people:
        one.standing.epoch = epoch
        assess(one, once, only.everyone, at="")
    return [one.id for one in people if _KEY in one.standing.segments]
