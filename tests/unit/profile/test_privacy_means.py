"""What erasure needs of its surroundings: a key, and questions that the other services take."""

import httpx
import msgspec
import pytest

from services.profile.api.peers import MOST_NAMED, HttpPeers
from services.profile.bootstrap import _kept
from services.profile.settings import ProfileSettings
from shared.contracts.touchpoint import Identifier
from shared.errors import Misconfigured


def test_who_lets_anonymous_profiles_go_needs_the_key() -> None:
    settings = ProfileSettings.model_construct(retain_anonymous_days=30, suppression_key_file=None)
    with pytest.raises(Misconfigured, match="SUPPRESSION_KEY_FILE"):
        _kept(settings)


async def test_ingest_is_asked_about_many_identifiers_in_parts() -> None:
    asked: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(len(msgspec.json.decode(request.content)["identifiers"]))
        if request.url.path.endswith(":erase"):
            return httpx.Response(200, json={"erased": {"failed_event": 1}})
        return httpx.Response(200, json={"items": [{"id": "e1"}], "next_cursor": None})

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://peer")
    peers = HttpPeers(http, http)
    many = [Identifier("email", f"{n}@x.org") for n in range(2 * MOST_NAMED + 1)]
    assert await peers.forget_failed(many) == {"failed_event": 3}
    assert await peers.failed_events(many) == [{"id": "e1"}]
    assert asked == [MOST_NAMED, MOST_NAMED, 1] * 2
    await peers.close()
