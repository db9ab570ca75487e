"""The command line of a service: `python -m services.<name> <role>`, one process a role."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from shared.errors import Misconfigured
from shared.runtime.service import MISCONFIGURED

USAGE = 64
"""Exit status for a command line that cannot be understood, as in sysexits.h."""


@dataclass(frozen=True, slots=True)
class Command:
    """One role: what `--help` says, and what runs; `run` returns the exit status."""

    help: str
    run: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Tool:
    """A command that a person runs, with arguments of its own; `run` returns the exit status."""

    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


class _Parser(argparse.ArgumentParser):
    """Ends with its own status when the command line is wrong: a tool may mean something by 2."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def main(service: str, commands: Mapping[str, Command | Tool], arguments: Sequence[str]) -> int:
    """Run the named role; a setting that cannot work is one line on stderr and status 78."""
    parser = _Parser(
        prog=f"python -m services.{service}",
        description="Settings come from the environment (CONCERT_…); see the README.",
    )
    roles = parser.add_subparsers(dest="role", required=True, metavar="role")
    for name, command in commands.items():
        role = roles.add_parser(name, help=command.help, description=command.help)
        if isinstance(command, Tool):
            command.arguments(role)
    given = parser.parse_args(arguments)
    chosen = commands[given.role]
    try:
        return chosen.run(given) if isinstance(chosen, Tool) else chosen.run()
    except Misconfigured as error:
        for problem in error.problems:
            sys.stderr.write(f"{parser.prog}: {problem}\n")
        return MISCONFIGURED
