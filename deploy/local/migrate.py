"""Bring every service's schema to its newest revision, all services at once.

Each runs as a process of its own with its own login: `python -m services.<service> migrate`.
"""

from deploy.local.errors import StackError
from deploy.local.processes import Processes
from deploy.local.roles import SERVICES
from deploy.local.services import Deployment

PATIENCE_SECONDS = 180.0


def migrate_all(deployment: Deployment, processes: Processes) -> None:
    """Run the migrations. Raises StackError with the last words of one that failed."""
    children = [processes.start(deployment.migrate_command(service)) for service in SERVICES]
    try:
        for child in children:
            if child.popen.wait(PATIENCE_SECONDS) != 0:
                raise StackError(f"{child.name} failed: {child.last_words()} (see {child.log})")
    finally:
        for child in children:
            processes.stop(child, patience=5)
