"""How people are seen by their runs: as the profile that stands for them was last told.

An update of a profile that was merged into another one says what happened; how the person is, the
winner's own updates say. Until one comes, the snapshot that is kept with the winner does.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from services.orchestrator.domain.update import Moment, facts_of
from services.orchestrator.storage.profile_states import Locked
from services.orchestrator.use_cases.timer_round import last_seen
from shared.contracts.profile_update import snapshot_decoder


class SeenPeople:
    """The people of a batch at an instant; `kept` are the rows of those who may be asked for."""

    def __init__(self, kept: Mapping[str, Locked], at: datetime) -> None:
        self._kept = kept
        self._at = at
        self._newest: dict[str, Moment] = {}

    def see(self, moment: Moment) -> Moment:
        """An update, with the person as they are seen after it."""
        if moment.is_of_winner:
            self._newest[moment.profile_id] = moment
            return moment
        newest = self._newest.get(moment.profile_id)
        if newest is not None:
            return self._shown(moment, newest.profile_json)
        row = self._kept.get(moment.profile_id)
        return moment if row is None or row.snapshot is None else self._shown(moment, row.snapshot)

    def kept(self, profile_id: str, cause_json: bytes) -> Moment:
        """The person as kept, with a cause that was kept. Raises KeyError where nothing is."""
        return last_seen(self._kept[profile_id], profile_id, cause_json, self._at)

    def _shown(self, moment: Moment, snapshot: bytes) -> Moment:
        profile = snapshot_decoder.decode(snapshot)
        return msgspec.structs.replace(
            moment,
            profile=profile,
            profile_json=snapshot,
            facts=facts_of(profile, moment.cause, self._at),
        )
