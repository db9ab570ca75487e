"""Applies a verdict to a running experiment, as its document says it should."""

from collections.abc import Iterable
from dataclasses import replace

from services.orchestrator.domain.experiments.assignment import Running
from services.orchestrator.domain.experiments.verdict import Verdict


def follow(running: Running, verdict: Verdict) -> Running:
    """The experiment after the verdict: arms that do harm stopped, and where its document lets it,
    the winner for everybody, or the control when there is none.

    An experiment that is over does not change any more, and an arm that was stopped does not win.
    """
    if running.is_over:
        return running
    experiment = running.experiment
    if experiment.stop_on_harm and verdict.harms:
        running = stop_arms(running, (harm.arm for harm in verdict.harms))
    if running.ended or not experiment.apply_winner:
        return running
    if verdict.outcome == "winner":
        harmed = verdict.arm in running.stopped
        return running if harmed else replace(running, winner=verdict.arm)
    return replace(running, ended=True) if verdict.outcome == "no_difference" else running


def stop_arms(running: Running, arms: Iterable[str]) -> Running:
    """The experiment without these arms; it is over when none is left beside the control."""
    stopped = running.stopped | set(arms)
    over = stopped >= set(running.experiment.weights) - {running.experiment.control}
    return replace(running, stopped=stopped, ended=running.ended or over)
