"""The receipt of an erasure: what is kept of it, and of nobody."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from services.profile.storage.privacy_requests import Request
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics, retention_of


def receipt_of(request: Request, topics: Topics, known: Iterable[str]) -> dict[str, Any]:
    """What is kept of an erasure: when, for whom, how many rows of each store, what the other
    services confirmed, and when the last copy in each topic will be gone. Nobody is named."""
    since = request.erased_at or request.requested_at
    services = {
        service: {
            store.removeprefix(f"{service}."): count
            for store, count in sorted(request.counts.items())
            if store.startswith(f"{service}.")
        }
        for service in ("orchestrator", "ingest")
    }
    return {
        "erased_at": rfc3339(since),
        "requested_by": request.requested_by_name,
        "profiles": len(request.family),
        "suppress": request.suppress,
        "stores": {
            store: count for store, count in sorted(request.counts.items()) if "." not in store
        },
        "services": services,
        "topics": [
            {
                "topic": name,
                "until": rfc3339(since + timedelta(milliseconds=retention_of(topics, name))),
            }
            for name in sorted(known)
        ],
    }
