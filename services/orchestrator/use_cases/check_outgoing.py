"""Asks the address guard when a channel is saved, so that a mistake is seen at once.

Each delivery asks it again: a name can resolve to something else by then.
"""

from services.orchestrator.connectors.outgoing import Outgoing
from services.orchestrator.domain.address_guard import AddressRefused, check_scheme, read_url
from services.orchestrator.domain.connector import Smtp, Target, Webhook
from shared.errors import Problem, Unprocessable


async def check_outgoing(outgoing: Outgoing, target: Target | None) -> list[Problem]:
    """Warnings of what cannot be told yet: a name that cannot be resolved now may be there later.

    Raises Unprocessable for a channel that would call what Concert does not connect to.
    """
    path = "webhook.url"
    try:
        if isinstance(target, Webhook):
            url = read_url(target.url)
            check_scheme(url, outgoing.policy)
            await outgoing.web_addresses(url.host, url.port)
        elif isinstance(target, Smtp):
            path = "smtp.host"
            await outgoing.mail_addresses(target.host, target.port)
    except AddressRefused as refused:
        problem = Problem(path, refused.rule, str(refused))
        raise Unprocessable("Concert does not connect there", [problem]) from refused
    except OSError:
        later = (
            "the name cannot be resolved now; whether Concert connects there is told by a delivery"
        )
        return [Problem(path, "unresolved", later)]
    return []
