"""The command line of a service: `python -m services.<name> <role>`, one process a role."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.errors import Misconfigured
from shared.runtime.service import MISCONFIGURED


@dataclass(frozen=True, slots=True)
class Command:
    """One role: what `--help` says, and what runs; `run` returns the exit status."""

    help: str
    run: Callable[[], int]


def main(service: str, commands: Mapping[str, Command], arguments: Sequence[str]) -> int:
    """Run the named role; a setting that cannot work is one line on stderr and status 78."""
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{service}",
        description="Settings come from the environment (CONCERT_…); see the README.",
    )
    roles = parser.add_subparsers(dest="role", required=True, metavar="role")
    for name, command in commands.items():
        roles.add_parser(name, help=command.help, description=command.help)
    chosen = parser.parse_args(arguments)
    try:
        return commands[chosen.role].run()
    except Misconfigured as error:
        for problem in error.problems:
            sys.stderr.write(f"{parser.prog}: {problem}\n")
        return MISCONFIGURED
