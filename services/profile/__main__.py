"""`python -m services.profile <role>`."""

import sys

from services.profile.bootstrap import COMMANDS
from shared.runtime.cli import main

if __name__ == "__main__":
    raise SystemExit(main("profile", COMMANDS, sys.argv[1:]))
