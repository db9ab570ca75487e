"""The commands `export`, `diff` and `apply`: what they are given, what they say, how they end."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from services.orchestrator.files.folder import read_folder, write_folder
from services.orchestrator.files.kinds import KINDS
from services.orchestrator.files.plan import LIVE, PAUSED, Change, Present, Wanted, plan
from services.orchestrator.files.remote import Refused, Remote
from shared.settings import read_secret_file

SAME, DIFFERENT, REFUSED = 0, 1, 2
NOTE = """\
DIR holds channels/KEY.yaml, resources/, templates/, contact-policies/, rules/ and journeys/, each
file one document as `PUT /v1/<kind>/KEY` takes it; `status: paused` pauses. Everything is checked
before anything is changed, and what is as its file says is left alone: a second run changes
nothing.
"""
EXPORT = "write what is live into DIR as YAML, one file a document"
DIFF = "show what `apply` would change; exit status 0: nothing, 1: something, 2: it cannot be told"
APPLY = "make everything as the files in DIR say; exit status 0: it is, 2: it was refused"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What all three take."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = NOTE
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR")
    add("--url", default="http://127.0.0.1:8003", help="the API (default: %(default)s)")
    add(
        "--token-file",
        type=Path,
        default=Path(".concert/admin-token"),
        help="may publish (default: %(default)s)",
    )


def add_prune(parser: argparse.ArgumentParser) -> None:
    """What `diff` takes."""
    add_arguments(parser)
    parser.add_argument(
        "--prune",
        action="store_true",
        help="archive rules, policies, experiments and journeys that no file names",
    )


def add_apply(parser: argparse.ArgumentParser) -> None:
    """What `apply` takes."""
    add_prune(parser)
    parser.add_argument("--dry-run", action="store_true", help="as diff: change nothing")
    parser.add_argument(
        "--overwrite-drafts", action="store_true", help="also where somebody has an unpublished one"
    )


def run_export(arguments: argparse.Namespace) -> int:
    """Write the folder; the exit status. Raises Misconfigured."""
    return _with(arguments, _export)


def run_diff(arguments: argparse.Namespace) -> int:
    """Show the differences; the exit status. Raises Misconfigured."""
    return _with(arguments, _diff)


def run_apply(arguments: argparse.Namespace) -> int:
    """Carry the differences out; the exit status. Raises Misconfigured."""
    return _with(arguments, _diff if arguments.dry_run else _apply)


def _with(arguments: argparse.Namespace, do: Callable[[argparse.Namespace, Remote], int]) -> int:
    remote = Remote(arguments.url, read_secret_file(arguments.token_file))
    try:
        return do(arguments, remote)
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    finally:
        remote.close()


def _export(arguments: argparse.Namespace, remote: Remote) -> int:
    documents = {}
    for kind in KINDS:
        documents[kind.folder] = {
            key: Wanted(one.document, one.status)
            for key, one in remote.present(kind).items()
            if one.document is not None and one.status in (LIVE, PAUSED)
        }
    count = write_folder(arguments.folder, documents)
    sys.stdout.write(f"{count} documents are in {arguments.folder}\n")
    return SAME


def _changes(arguments: argparse.Namespace, remote: Remote) -> list[Change]:
    wanted = read_folder(arguments.folder)
    changes: list[Change] = []
    for kind in KINDS:
        present: dict[str, Present] = remote.present(kind)
        prune = arguments.prune and kind.drafted
        changes += plan(kind.folder, present, wanted[kind.folder], prune=prune)
    return changes


def _diff(arguments: argparse.Namespace, remote: Remote) -> int:
    changes = _changes(arguments, remote)
    for change in changes:
        _show(change)
    sys.stdout.write(f"{len(changes)} differ\n" if changes else "nothing differs\n")
    return DIFFERENT if changes else SAME


def _apply(arguments: argparse.Namespace, remote: Remote) -> int:
    changes = _changes(arguments, remote)
    lost = [change.title for change in changes if change.drops_draft]
    if lost and not arguments.overwrite_drafts:
        raise Refused("\n".join([*lost, "nothing was changed; --overwrite-drafts does it"]))
    kinds = {kind.folder: kind for kind in KINDS}
    saved: dict[tuple[str, str], str | None] = {}
    # What is archived may be named by what is not changed yet, so it goes last.
    ordered = sorted(changes, key=lambda change: "archive" in change.steps)
    for place, change in enumerate(ordered):
        _show(change)
        try:
            if kinds[change.folder].entwined:
                saved |= _saved(remote, change.folder, ordered, saved)
            remote.carry_out(
                change,
                drafted=kinds[change.folder].drafted,
                saved=saved.get((change.folder, change.key)),
            )
        except Refused as error:
            left = len(ordered) - place
            raise Refused(
                f"{error}\n{place} of {len(ordered)} changes were made, {left} were not: "
                "mend it and run the same command again"
            ) from None
    sys.stdout.write(f"{len(ordered)} changed\n" if ordered else "nothing differs\n")
    return SAME


def _saved(
    remote: Remote,
    folder: str,
    changes: Sequence[Change],
    saved: Mapping[tuple[str, str], str | None],
) -> dict[tuple[str, str], str | None]:
    """Save all documents of a folder that are not saved yet, with their ETags."""
    return {
        (folder, one.key): remote.save(one)
        for one in changes
        if one.folder == folder and one.writes and (folder, one.key) not in saved
    }


def _show(change: Change) -> None:
    sys.stdout.write("\n".join([change.title, *(f"    {line}" for line in change.lines())]) + "\n")
