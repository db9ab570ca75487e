"""The API shows decisions as they were published: its views have the fields of the contract."""

import re
from typing import get_type_hints

import msgspec
import pytest
from pydantic import BaseModel

from services.orchestrator.api import decisions as views
from shared.contracts import decision as contract

PAIRS: list[tuple[type[BaseModel], type[msgspec.Struct]]] = [
    (views.DecisionView, contract.Decision),
    (views.CandidateView, contract.Candidate),
    (views.CandidateActionView, contract.CandidateAction),
    (views.DetailView, contract.CandidateDetail),
    (views.CostView, contract.ResourceCost),
    (views.PropensityView, contract.PropensityParts),
    (views.ScoreView, contract.CandidateScore),
    (views.RetractionView, contract.Retraction),
    (views.HoldoutExposureView, contract.HoldoutExposure),
    (views.ExperimentArmView, contract.ExperimentArm),
    (views.ZoneView, contract.DecisionZone),
]


@pytest.mark.parametrize(("view", "struct"), PAIRS)
def test_a_view_has_the_fields_of_the_contract(
    view: type[BaseModel], struct: type[msgspec.Struct]
) -> None:
    expected = {field.name: field.required for field in msgspec.structs.fields(struct)}
    assert {name: field.is_required() for name, field in view.model_fields.items()} == expected


@pytest.mark.parametrize(("view", "struct"), PAIRS)
def test_the_fields_have_the_types_of_the_contract(
    view: type[BaseModel], struct: type[msgspec.Struct]
) -> None:
    """But for the views that stand where the contract has the structs they show."""
    hints = get_type_hints(view)
    shown = {name: str(hints[name]) for name in view.model_fields}
    assert shown == {name: _in_views(str(hint)) for name, hint in get_type_hints(struct).items()}


def _in_views(hint: str) -> str:
    for view, struct in PAIRS:
        name = re.escape(f"{struct.__module__}.{struct.__qualname__}")
        hint = re.sub(rf"{name}\b", f"{view.__module__}.{view.__qualname__}", hint)
    return hint
