"""What `make run` prints when everything is ready: every address, and what to do next."""

from sqlalchemy.engine import make_url

from deploy.local.home import access_token
from deploy.local.ports import HOST, Ports
from deploy.local.services import Deployment

TITLES = {
    1: "collector (events in)",
    2: "profile API",
    3: "orchestrator API",
}


def banner(deployment: Deployment, ports: Ports, *, local_database: bool) -> str:
    """The text, without colours, ready to print."""
    home = deployment.home
    token = access_token(home.root / "admin-token")
    url = make_url(deployment.owner_url).render_as_string(hide_password=not local_database)
    profile = f"http://{HOST}:{ports.base + 2}"
    urls = [f"  {TITLES[n]:<24}http://{HOST}:{ports.base + n}" for n in sorted(TITLES)]
    lines = [
        "",
        "Concert is ready.",
        "",
        *urls,
        f"  {'Kafka bootstrap':<24}{deployment.kafka}",
        f"  {'database':<24}{url}",
        f"  {'metrics targets':<24}{home.run / 'targets.json'}",
        f"  {'logs':<24}{home.logs}",
        "",
        f"admin token: {token}",
        f"(also in {home.root / 'admin-token'})",
        "",
        "Next: every API describes itself at /openapi.json; for example",
        f"  curl -H 'Authorization: Bearer {token}' {profile}/v1/profiles/by/email/ada@example.com",
        "`make down` (under `make run` also Ctrl-C) stops everything; the data stays.",
        "",
    ]
    return "\n".join(lines)
