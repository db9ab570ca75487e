"""What is known of counted past touchpoints after the snapshot that counts them.

Every snapshot carries the counts as of its own instant. A count in a window falls by time alone, at
instants that stand beside it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.contracts.times import parse_rfc3339


def leaves_at(leaves: Mapping[str, Any], at: datetime) -> Mapping[str, Any]:
    """The counts of a snapshot as they are at an instant. One whose later fall is not known is
    left out: it is unknown then."""
    if not leaves:
        return leaves
    return {
        name: state for name, leaf in leaves.items() if (state := _leaf_at(leaf, at)) is not None
    }


def _leaf_at(leaf: Mapping[str, Any], at: datetime) -> Mapping[str, Any] | None:
    until = leaf.get("until")
    if until is None or at < parse_rfc3339(until):
        return leaf
    count, later = leaf["count"], leaf.get("leaving", ())
    left = 1 + sum(parse_rfc3339(instant) <= at for instant in later)
    if left > len(later) and left < count:
        return None
    return {"count": count - left}
