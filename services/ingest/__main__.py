"""`python -m services.ingest <role>`."""

import sys

from services.ingest.bootstrap import COMMANDS
from shared.runtime.cli import main

if __name__ == "__main__":
    raise SystemExit(main("ingest", COMMANDS, sys.argv[1:]))
