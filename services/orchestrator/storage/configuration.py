"""The configuration that is in force, as stored."""

from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.storage import experiments, journey_versions, rule_leaves, saved
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.storage.experiments import StoredExperiment
from services.orchestrator.storage.journey_versions import StoredJourney
from shared.postgres import drafts
from shared.postgres.epochs import epoch, snapshot


@dataclass(frozen=True, slots=True)
class Stored:
    """Everything in force at `epoch`: live rules and policies, journeys with all versions that
    have runs, experiments, present templates, channels and resources."""

    epoch: int
    rules: list[drafts.Version]
    policies: list[drafts.Version]
    templates: list[saved.Saved]
    channels: list[saved.Saved]
    resources: list[saved.Saved]
    journeys: list[StoredJourney] = field(default_factory=list)
    experiments: list[StoredExperiment] = field(default_factory=list)


async def load(tx: AsyncConnection) -> Stored:
    """Everything in force, as of one instant.

    `tx` must have executed nothing before: it becomes a read-only snapshot.
    """
    await snapshot(tx)
    return Stored(
        epoch=await epoch(tx),
        rules=await _rules(tx),
        policies=await drafts.live(tx, Kind.CONTACT_POLICY),
        templates=await saved.everything(tx, saved.Kind.TEMPLATE),
        channels=await saved.everything(tx, saved.Kind.CHANNEL),
        resources=await saved.everything(tx, saved.Kind.RESOURCE),
        journeys=await journey_versions.load(tx),
        experiments=await experiments.live(tx),
    )


async def _rules(tx: AsyncConnection) -> list[drafts.Version]:
    """The live version of each rule; while it waits for its event leaves, the one before."""
    live = await drafts.live(tx, Kind.RULE)
    warming = await rule_leaves.in_force_while_warming(tx)
    found = (warming.get(version.key, version) for version in live) if warming else live
    return [version for version in found if version is not None]
