"""Counts what a batch of touchpoints did, after it was committed."""

from collections import Counter

from shared.observability import metrics

REFUSALS = ("veto", "limit", "cap", "cannot_link", "shared")
"""Rules of identity that stand against uniting profiles, as the metrics name them."""


def report_absorbed(outcomes: Counter[str]) -> None:
    """Metrics of what happened; called once the batch is committed."""
    metrics.PROFILES_CREATED.inc(outcomes["created"])
    metrics.MERGES.inc(outcomes["merged"])
    metrics.TOUCHPOINTS_SUPPRESSED.inc(outcomes["suppressed"])
    metrics.IDENTIFIERS_DEMOTED.inc(outcomes["demoted"] + outcomes["unkept"])
    for reason in REFUSALS:
        if outcomes[f"refused_{reason}"]:
            metrics.MERGES_REFUSED.labels(reason=reason).inc(outcomes[f"refused_{reason}"])
