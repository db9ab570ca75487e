"""The experiments in force: which arm somebody gets, asked by the gate of rules."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.orchestrator.domain.experiments.assignment import Running, Why, assign


@dataclass(frozen=True, slots=True)
class Assigned:
    """The arm of a person in one version and phase of an experiment, and why it is that one."""

    experiment: str
    version: int
    phase: int
    arm: str
    why: Why
    bucket: int | None

    @property
    def exposed(self) -> bool:
        """Whether the person takes part in the comparison."""
        return self.why == "split"


class Experiments:
    """All published experiments by key. What is `known` of one person is not asked again: so a
    decision is made again as it was, whatever became of the experiment."""

    def __init__(
        self, running: Iterable[Running] = (), known: Mapping[str, Assigned] | None = None
    ) -> None:
        self.running: Mapping[str, Running] = {one.experiment.key: one for one in running}
        self._known = known or {}

    def compares(self, key: str) -> bool:
        """Whether it depends on the person which arm they get."""
        running = self.running.get(key)
        return running is not None and not running.is_over

    def assign(self, key: str, unit: str | None) -> Assigned | None:
        """What a person gets, None for somebody unknown; None when there is no such experiment."""
        known = self._known.get(key)
        if known is not None:
            return known
        running = self.running.get(key)
        if running is None:
            return None
        found, version = assign(running, unit), running.experiment.version
        return Assigned(key, version, running.phase, found.arm, found.why, found.bucket)
