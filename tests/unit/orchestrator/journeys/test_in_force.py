"""Which versions of a journey are in force."""

from dataclasses import replace

import pytest

from services.orchestrator.domain.journeys.in_force import InForce, Publication, in_force

PLAIN = Publication(1, follows=False, ready=True, has_runs=False, is_recent=False)


def published(*more: dict[str, bool]) -> list[Publication]:
    return [replace(PLAIN, version=place + 1, **fields) for place, fields in enumerate(more)]


NOTHING: dict[str, bool] = {}
RUNS, COLD, FOLLOWS = {"has_runs": True}, {"ready": False}, {"follows": True}


@pytest.mark.parametrize(
    ("versions", "enters_from", "is_over", "found"),
    [
        ([], 1, False, InForce(None, ())),
        ([COLD], 1, False, InForce(None, ())),
        ([NOTHING], 1, False, InForce(1, (1,))),
        ([NOTHING] * 5, 1, False, InForce(5, (4, 5))),
        ([RUNS, *[NOTHING] * 4], 1, False, InForce(5, (1, 4, 5))),
        ([NOTHING, {"is_recent": True}, *[NOTHING] * 3], 1, False, InForce(5, (2, 4, 5))),
        ([NOTHING, FOLLOWS, RUNS, FOLLOWS, NOTHING, NOTHING], 1, False, InForce(6, (3, 4, 5, 6))),
        ([RUNS, FOLLOWS | COLD, NOTHING], 1, False, InForce(3, (1, 3))),
        ([NOTHING, COLD], 1, False, InForce(1, (1,))),
        ([NOTHING, COLD], 2, False, InForce(None, (1,))),
        ([NOTHING, RUNS, NOTHING], 1, True, InForce(None, (2,))),
        ([NOTHING, NOTHING], 1, True, InForce(None, ())),
        ([RUNS, FOLLOWS, NOTHING], 1, True, InForce(None, (1, 2))),
    ],
)
def test_what_people_enter_and_what_runs_go_by(
    versions: list[dict[str, bool]], enters_from: int, is_over: bool, found: InForce
) -> None:
    assert in_force(published(*versions), enters_from=enters_from, is_over=is_over) == found
