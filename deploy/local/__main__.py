"""`python -m deploy.local {run,up,down,status,demo}`.

A StackError is printed as its one line, with exit code 1.
"""

import argparse
import sys

from deploy.local.background import down, status, up
from deploy.local.errors import StackError
from deploy.local.run import demo, run


def main() -> int:
    """Run one command; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local")
    parser.add_argument("command", choices=("run", "up", "down", "status", "demo"))
    parser.add_argument(
        "--only-infra", action="store_true", help="Kafka and PostgreSQL alone, no roles"
    )
    parser.add_argument("--with-parent", type=int, help="stop when this pid is not our parent")
    chosen = parser.parse_args()
    try:
        match chosen.command:
            case "run":
                return run(only_infra=chosen.only_infra, parent=chosen.with_parent)
            case "up":
                return up(only_infra=chosen.only_infra)
            case "down":
                return down()
            case "status":
                return status()
            case _:
                return demo()
    except StackError as error:
        print(f"concert: {error}", file=sys.stderr)
        return 1


sys.exit(main())
