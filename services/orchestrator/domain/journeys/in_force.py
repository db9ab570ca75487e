"""Which versions of a journey are in force: the one that people enter, and those of runs."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Publication:
    """A published version. `follows`: runs of earlier ones go on in it. `ready`: its event leaves
    are counted. `has_runs`: some of its runs are under way or watched. `is_recent`: somebody may
    be let into it still by a process that does not know yet what is in force now."""

    version: int
    follows: bool
    ready: bool
    has_runs: bool
    is_recent: bool


@dataclass(frozen=True, slots=True)
class InForce:
    """The version that people enter (None: nobody may), and all that runs go by, in order."""

    entering: int | None
    versions: tuple[int, ...]


def in_force(publications: Sequence[Publication], *, enters_from: int, is_over: bool) -> InForce:
    """What is in force of these publications of one journey, in order.

    A version that was never ready is none of any run. `enters_from` is the first one since the
    journey went live, `is_over` says that it was archived.
    """
    ready = [one for one in publications if one.ready]
    if not ready:
        return InForce(None, ())
    current = ready[-1].version
    entering = current if current >= enters_from and not is_over else None
    kept = {one.version for one in ready if one.has_runs or one.is_recent}
    if not is_over:
        kept |= {one.version for one in ready[-2:]}  # the last may have been ready just now
    if kept:
        oldest = min(kept)
        kept |= {one.version for one in ready if one.follows and one.version > oldest}
    return InForce(entering, tuple(sorted(kept)))
