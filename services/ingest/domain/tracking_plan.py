"""The tracking plan: which schema an event is held against, and what comes of breaking it.

Whether anything comes of it is the source's `tracking`: `off` nothing, `warn` a note in
`context.concert.schema_errors`, `reject` the dead letters. A type without a published schema is
never touched.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from services.ingest.domain.compose import OWN_CONTEXT
from services.ingest.domain.event_schema import EventSchema
from shared.contracts.touchpoint import Touchpoint
from shared.errors import InvalidData, Problem

SCHEMA = "schema"
"""The reason of a dead letter that broke its schema."""
VersionPolicy = Literal["follow_live", "pin"]
"""`follow_live`: every event is held against the newest version. `pin`: an event that names a
published version in its `schema` (`Order Completed/1`) is held against that one."""


class TrackingPlan(msgspec.Struct, frozen=True):
    """The schemas in force: the newest of each type, and by label what events may name."""

    newest: Mapping[str, EventSchema] = {}
    pinned: Mapping[str, EventSchema] = {}

    def find(self, type_: str, stated: str | None) -> EventSchema | None:
        """The schema for an event of `type_` that states `stated`; None when it has none."""
        if stated is not None and stated in self.pinned:
            pinned = self.pinned[stated]
            if pinned.type == type_:
                return pinned
        return self.newest.get(type_)

    def hold(self, touchpoint: Touchpoint, tracking: Literal["warn", "reject"]) -> None:
        """Check a touchpoint; its `schema` then says against what, its context what is wrong.

        Raises InvalidData `schema` when it breaks its schema and `tracking` is `reject`.
        """
        schema = self.find(touchpoint.type, touchpoint.schema)
        if schema is None:
            return
        touchpoint.schema = schema.label
        errors = schema.errors(event_parts(touchpoint))
        if not errors:
            return
        if tracking == "reject":
            raise InvalidData(SCHEMA, _detail(errors, schema.label), errors[0].path)
        own = touchpoint.context.get(OWN_CONTEXT, {})
        notes = [
            {"path": error.path, "rule": error.rule, "message": error.message} for error in errors
        ]
        touchpoint.context = {**touchpoint.context, OWN_CONTEXT: {**own, "schema_errors": notes}}


def plan_of(schemas: Iterable[tuple[EventSchema, bool, bool]]) -> TrackingPlan:
    """A plan of schemas, each with whether it is its type's newest and may be named by events."""
    newest: dict[str, EventSchema] = {}
    pinned: dict[str, EventSchema] = {}
    for schema, is_newest, may_be_named in schemas:
        if is_newest:
            newest[schema.type] = schema
        if may_be_named:
            pinned[schema.label] = schema
    return TrackingPlan(newest, pinned)


def event_parts(touchpoint: Touchpoint) -> dict[str, Any]:
    """What schemas are about. What Concert itself noted in the context is no part of it."""
    context = touchpoint.context
    if OWN_CONTEXT in context:
        context = {name: value for name, value in context.items() if name != OWN_CONTEXT}
    return {
        "properties": touchpoint.properties,
        "traits": touchpoint.traits,
        "context": context,
    }


def _detail(errors: list[Problem], label: str) -> str:
    """The first error's path goes before this by itself."""
    first, *others = errors
    more = [f"{error.path}: {error.message} ({error.rule})" for error in others]
    return "; ".join([f"{first.message} ({first.rule} of {label})", *more])
