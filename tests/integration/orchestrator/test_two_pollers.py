"""Two pollers at once: each fires timers that the other one does not have."""

from datetime import timedelta

from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import timers
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.stage import Stage
from tests.unit.orchestrator.journeys.build import end, journey, mail, wait


async def test_a_poller_takes_what_the_other_one_does_not_have(stage: Stage) -> None:
    waiting = journey(wait("rest", "mail", duration="P1D"), mail("mail"), end())
    stage.rules = RuleSet(epoch=1, journeys=(LiveJourney([waiting], live=1),))
    people = ["ada", "bob", "cy", "dee"]
    await stage.respond(*[await stage.happened(f"t-{who}", who=who) for who in people])
    await stage.advance(timedelta(days=1))
    async with transaction(stage.engine) as one:
        first = await timers.due(one, 3)
        async with transaction(stage.engine) as other:
            second = await timers.due(other, 3)
        assert await stage.fire() == 1
    assert (len(first), len(second)) == (3, 1)
    assert not {timer.id for timer in first} & {timer.id for timer in second}
    assert await stage.fire() == 3
    assert len(await stage.kinds()) == 4
