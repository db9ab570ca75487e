"""The profiles that one fold touched."""

from collections.abc import Mapping

from services.profile.domain.profile import StoredProfile
from services.profile.domain.survivorship import TraitPolicy
from services.profile.domain.working_profile import WorkingProfile


class WorkingProfiles(dict[str, WorkingProfile]):
    """By their ids; a stored one is taken up when it is first asked for."""

    def __init__(self, stored: Mapping[str, StoredProfile], policy: TraitPolicy) -> None:
        super().__init__()
        self._stored = stored
        self._policy = policy

    def __missing__(self, profile_id: str) -> WorkingProfile:
        profile = WorkingProfile(self._stored[profile_id], self._policy)
        self[profile_id] = profile
        return profile

    def add(self, stored: StoredProfile) -> WorkingProfile:
        profile = self[stored.id] = WorkingProfile(stored, self._policy)
        return profile
