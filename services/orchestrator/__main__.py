"""`python -m services.orchestrator <role>`."""

import sys

from services.orchestrator.bootstrap import COMMANDS
from shared.runtime.cli import main

if __name__ == "__main__":
    raise SystemExit(main("orchestrator", COMMANDS, sys.argv[1:]))
