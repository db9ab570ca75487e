"""Reads published experiments again, by the rules of today."""

from collections.abc import Iterable

from services.orchestrator.domain.experiments.assignment import Running
from services.orchestrator.domain.experiments.experiment_document import parse_experiment
from services.orchestrator.storage.experiments import StoredExperiment
from services.orchestrator.use_cases.read_stored import parsed


def running_of(stored: Iterable[StoredExperiment]) -> list[Running]:
    """The experiments as they run. What this version of the program does not take is left out and
    logged."""
    return [
        one.state.running(experiment)
        for one in stored
        for experiment in parsed(parse_experiment, [one.version], "experiment")
    ]
