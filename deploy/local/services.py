"""Concert's roles on one machine: which there are, and the environment each one starts with.

A role gets the login of its own service only. The owner's URL goes to `migrate` alone.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local.home import CHECKOUT, Home, access_token, secret
from deploy.local.processes import Command

NOT_INHERITED = frozenset(
    {"CONCERT_DATABASE_URL", "CONCERT_OWNER_DATABASE_URL", "PYTHONDONTWRITEBYTECODE"}
)
"""The owner's rights are not for roles; and a role compiles its modules once, not at each start."""


@dataclass(frozen=True, slots=True)
class Role:
    """One kind of process: `python -m services.<service> <name>`."""

    service: str
    name: str
    api_offset: int | None = None
    """Its API port counted from the port base; None when it answers on its metrics port alone."""

    @property
    def label(self) -> str:
        """What it is called in log files and messages."""
        return f"{self.service}-{self.name}"


ROLES = (
    Role("ingest", "collector", api_offset=1),
    Role("ingest", "worker"),
    Role("ingest", "failures"),
    Role("profile", "worker"),
    Role("profile", "sweeper"),
    Role("profile", "api", api_offset=2),
    Role("profile", "linker"),
    Role("orchestrator", "worker"),
    Role("orchestrator", "poller"),
    Role("orchestrator", "deliver"),
    Role("orchestrator", "rehearse"),
    Role("orchestrator", "api", api_offset=3),
)


@dataclass(frozen=True, slots=True)
class Deployment:
    """What all roles of one running Concert have in common."""

    home: Home
    kafka: str
    owner_url: str
    service_urls: Mapping[str, str]
    """The database URL of each service's own login."""
    profile_url: str
    orchestrator_url: str
    topic_prefix: str = ""
    mode: str = "test"
    ingest_url: str = ""

    def environment(self, service: str, extra: Mapping[str, str]) -> dict[str, str]:
        """What a process of `service` finds in its environment; `extra` goes on top."""
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        service_token = self.home.credentials / "service-token"
        admin_token = self.home.root / "admin-token"
        access_token(service_token)
        access_token(admin_token)
        suppression_key = self.home.credentials / "suppression-key"
        secret(suppression_key)
        return inherited | {
            "CONCERT_HOME": str(self.home.root),
            "CONCERT_KAFKA": self.kafka,
            "CONCERT_DATABASE_URL": self.service_urls[service],
            "CONCERT_TOPIC_PREFIX": self.topic_prefix,
            "CONCERT_MODE": self.mode,
            "CONCERT_INGEST_URL": self.ingest_url,
            "CONCERT_PROFILE_URL": self.profile_url,
            "CONCERT_ORCHESTRATOR_URL": self.orchestrator_url,
            "CONCERT_SERVICE_TOKEN_FILE": str(service_token),
            "CONCERT_SUPPRESSION_KEY_FILE": str(suppression_key),
            "CONCERT_ADMIN_TOKEN_FILE": str(admin_token),
            # On one's own machine anything may publish; a real deployment registers its sources.
            "CONCERT_ALLOW_UNREGISTERED_SOURCES": "true",
            "PYTHONUNBUFFERED": "1",
            **self._own(service),
            **extra,
        }

    def _own(self, service: str) -> dict[str, str]:
        """What is a secret of one service alone."""
        if service == "orchestrator":
            channel_secrets = self.home.root / "channel-secrets"
            channel_secrets.mkdir(mode=0o700, exist_ok=True)
            return {
                "CONCERT_SECRETS_FOLDER": str(channel_secrets),
                # Receivers on one's own machine; a real deployment lists its own networks.
                "CONCERT_OUTGOING_HTTP": "true",
                "CONCERT_OUTGOING_NETWORKS": "127.0.0.0/8,::1/128",
            }
        if service != "profile":
            return {}
        key = self.home.credentials / "consent-key"
        secret(key)
        return {"CONCERT_CONSENT_KEY_FILE": str(key)}

    def role_command(
        self,
        role: Role,
        *,
        name: str,
        metrics_port: int,
        http_port: int | None,
        extra: Mapping[str, str] | None = None,
    ) -> Command:
        """How to start a role under `name` with its ports."""
        ports = {"CONCERT_METRICS_PORT": str(metrics_port)}
        if http_port is not None:
            ports["CONCERT_HTTP_PORT"] = str(http_port)
        return Command(
            name,
            [sys.executable, "-m", f"services.{role.service}", role.name],
            self.environment(role.service, ports | dict(extra or {})),
            cwd=CHECKOUT,
        )

    def migrate_command(self, service: str) -> Command:
        """How to bring a service's schema to its newest revision."""
        return Command(
            f"{service}-migrate",
            [sys.executable, "-m", f"services.{service}", "migrate"],
            self.environment(service, {"CONCERT_OWNER_DATABASE_URL": self.owner_url}),
            cwd=CHECKOUT,
        )
