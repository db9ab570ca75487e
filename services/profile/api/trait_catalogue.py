"""`/v1/traits:catalogue`: every trait that conditions may ask for without a guess."""

from typing import Literal

from pydantic import BaseModel

from services.profile.api.profiles import Reader
from services.profile.domain.condition_types import type_of
from services.profile.domain.trait import BUILT_IN, STANDARD, Trait
from services.profile.storage import definitions
from services.profile.use_cases.live_definitions import traits_of
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

router = api_router(tags=["traits"])


class TraitView(BaseModel):
    """A trait. `attr` is how conditions ask for it; `type` is null where nobody said, and a value
    may be anything; `key` is that of its definition, null for one that needs none."""

    attr: str
    origin: Literal["standard", "built_in", "declared", "computed"]
    type: str | None
    pii: str | None
    key: str | None


class CatalogueView(BaseModel):
    """All of them, by attribute."""

    items: list[TraitView]


@router.get("/v1/traits:catalogue")
async def list_catalogue(engine: Engine, _: Reader) -> CatalogueView:
    """Standard, built-in, declared and computed traits, as they are in force."""
    async with transaction(engine) as tx:
        traits = traits_of((await definitions.load(tx)).rows)
    found = {f"profile.{name}": _known(f"profile.{name}", "standard") for name in STANDARD}
    for name in BUILT_IN:
        attr = f"profile.computed.{name}"
        found[attr] = _known(attr, "built_in")
    for name, declared in traits.declared.items():
        attr = f"profile.{name}"
        found[attr] = _defined(attr, "declared", declared.type, declared)
    for name, computed in traits.computed.items():
        attr = f"profile.computed.{name}"
        found[attr] = _defined(attr, "computed", type_of(computed), computed)
    return CatalogueView(items=[found[attr] for attr in sorted(found)])


def _known(attr: str, origin: Literal["standard", "built_in"]) -> TraitView:
    return TraitView(attr=attr, origin=origin, type=None, pii=None, key=None)


def _defined(
    attr: str, origin: Literal["declared", "computed"], type_: str | None, trait: Trait
) -> TraitView:
    return TraitView(attr=attr, origin=origin, type=type_, pii=trait.pii, key=trait.key)
