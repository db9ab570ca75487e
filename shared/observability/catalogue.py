"""Writes `docs/metrics.md` from the declarations: `python -m shared.observability.catalogue FILE`.

A test keeps the file fresh. Nothing about a metric is written anywhere else.
"""

import re
import sys
from pathlib import Path

from shared.observability import metrics
from shared.observability.registry import CATALOGUE, Entry

_RUNBOOK = re.compile(r"([Rr]unbook) ([a-z]+(?:-[a-z]+)*)")

PAGE = f"""# Metrics

Written from `shared/observability/metrics.py` by
`python -m shared.observability.catalogue docs/metrics.md`; do not edit it here.

Every process answers `/metrics` on its metrics port and knows every metric below; one that does not
concern its role stays at 0, or has no series. Times are seconds, sizes bytes, counters end in
`_total`. Label values come from closed sets, and never hold an id: a channel beyond the first
{metrics.CHANNEL_LIMIT} is counted as `other`. Known label values exist from the start of a process
at 0, so that the first error of a kind is seen by `rate()`.
"""


def entries() -> tuple[Entry, ...]:
    """Every metric, in the order of declaration."""
    return tuple(CATALOGUE)


def page() -> str:
    """The whole page: an overview, then each metric with its meaning and what to do."""
    lines = [PAGE, "| metric | type | labels |", "|---|---|---|"]
    lines += [f"| [`{e.name}`](#{e.name}) | {e.kind} | {_labels(e)} |" for e in entries()]
    for entry in entries():
        lines += ["", *_section(entry)]
    return "\n".join(lines) + "\n"


def _labels(entry: Entry) -> str:
    return ", ".join(f"`{label}`" for label in entry.labels) or "none"


def _section(entry: Entry) -> list[str]:
    lines = [f"## {entry.name}", "", entry.description, "", f"- Moves: {entry.moves}"]
    lines.append(f"- What to do: {_linked(entry.act)}")
    for label, values in entry.labels.items():
        known = ", ".join(f"`{value}`" for value in values) or "known only in the running process"
        lines.append(f"- `{label}`: {known}")
    if entry.buckets:
        lines.append("- Edges: " + ", ".join(f"{edge:g}" for edge in entry.buckets))
    return lines


def _linked(act: str) -> str:
    """`Runbook lag-growing.` with a link to the runbook."""
    return _RUNBOOK.sub(r"\1 [\2](runbooks/\2.md)", act)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
