"""Who looks at events, and what of them is shown: one place for live events, failed ones, receipts.

Without the right to read personal data, hidden is what looks like it (by name and by shape) and
what the event's source declares as such. The sentence of a failure quotes values of the event, and
nobody knows of which field: of a source that declares anything, and of an unknown one, it is shown
without them.
"""

from typing import Any, NamedTuple

import orjson

from services.ingest.api.askers import Asker, sees_personal_data
from services.ingest.domain.fingerprint import unquoted
from services.ingest.domain.personal import personal_places, personal_places_sent
from services.ingest.domain.recovery import read_patiently
from services.ingest.domain.source import Source
from services.ingest.storage.registry import Registry
from shared.contracts.dead_letter import Headers
from shared.errors import InvalidData
from shared.http.masking import mask_places, mask_touchpoint
from shared.observability.masking import clean, mask


class Viewer(NamedTuple):
    """`source` is always the publisher's name as the event has it; it may be nobody's."""

    sees_personal_data: bool
    sources: dict[str, Source]

    def touchpoint(self, body: dict[str, Any]) -> dict[str, Any]:
        """A touchpoint as it is shown."""
        if self.sees_personal_data:
            return body
        source = self._known(body["source"])
        return mask_touchpoint(body, () if source is None else personal_places(source))

    def sentence(self, sentence: str, source: str | None) -> str:
        """What is said about a failure."""
        if self.sees_personal_data:
            return sentence
        known = self._known(source)
        quotes = source is not None and (known is None or not known.pii)
        return clean(sentence if quotes else unquoted(sentence))

    def sent(
        self, content: bytes | None, headers: Headers, source: str | None, most: int
    ) -> str | None:
        """What a publisher sent, as text, its first `most` bytes; None when it cannot be masked
        because it is no object of JSON or form, as the headers of its record say."""
        if content is None:
            return None
        if not self.sees_personal_data:
            known = self._known(source)
            places = () if known is None else personal_places_sent(known)
            try:
                event = mask_places(read_patiently(content, headers), (), anywhere=places)
            except InvalidData:
                return None
            content = orjson.dumps(mask(event))
        return content[:most].decode("utf-8", "replace")

    def _known(self, name: str | None) -> Source | None:
        return None if name is None else self.sources.get(name)


async def viewer_of(asker: Asker, registry: Registry) -> Viewer:
    """Raises Infrastructure when the sources could not be read even once."""
    return Viewer(sees_personal_data(asker), dict(await registry.sources()))
