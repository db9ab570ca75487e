"""In which time zone a person lives, and how that is known.

A policy says where to look, in order: the profile's own zone, its country when all of that country
has one time, the policy's default. What is not a zone of the IANA database does not count.
"""

from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from services.orchestrator.domain.countries import ZONE_OF_COUNTRY
from shared.contracts.profile_update import ProfileSnapshot
from shared.contracts.zones import is_zone

Source = Literal["profile", "country", "default"]
SOURCES: tuple[Source, ...] = ("profile", "country", "default")


@dataclass(frozen=True, slots=True)
class Zone:
    """The zone of a person: its name, where that was found, and the zone that all share."""

    name: str
    source: Source
    default: str = "UTC"

    @property
    def info(self) -> ZoneInfo:
        """The rules of the zone."""
        return ZoneInfo(self.name)

    @property
    def shared(self) -> ZoneInfo:
        """The rules of the default zone, which windows that several people share go by."""
        return ZoneInfo(self.default)


UTC_ZONE = Zone("UTC", "default")


@dataclass(frozen=True, slots=True)
class TimeZone:
    """Where a policy looks for the zone of a person."""

    source: tuple[Source, ...] = SOURCES
    default: str = "UTC"

    def of(self, profile: ProfileSnapshot) -> Zone:
        """The zone of the person, found by the first source that has one."""
        for source in self.source:
            name = self.default if source == "default" else _FIND[source](profile)
            if name is not None:
                return Zone(name, source, self.default)
        return self.default_zone

    @property
    def default_zone(self) -> Zone:
        """The zone of whom nothing is known."""
        return Zone(self.default, "default", self.default)


def _of_profile(profile: ProfileSnapshot) -> str | None:
    for name in (profile.timezone, profile.traits.get("timezone")):
        if is_zone(name):
            return name
    return None


def _of_country(profile: ProfileSnapshot) -> str | None:
    country = profile.traits.get("country")
    return ZONE_OF_COUNTRY.get(country.strip().casefold()) if isinstance(country, str) else None


_FIND = {"profile": _of_profile, "country": _of_country}
