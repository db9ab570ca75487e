"""The folder: `<kind>/<key>.yaml`, one document a file; the only place that reads and writes it."""

import re
from collections.abc import Mapping
from pathlib import Path

from services.orchestrator.files.kinds import KINDS, FileKind
from services.orchestrator.files.plan import LIVE, PAUSED, Wanted
from services.orchestrator.files.yaml_text import NotYaml, read_yaml, write_yaml
from shared.errors import Misconfigured, Unprocessable
from shared.http.drafts import OURS

KEY = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
SUFFIX = ".yaml"


def read_folder(root: Path) -> dict[str, dict[str, Wanted]]:
    """Every document by folder and key, each checked.

    Raises Misconfigured with every mistake of every file: nothing may be applied in part.
    """
    if not root.is_dir():
        raise Misconfigured([f"{root}: there is no such folder"])
    problems: list[str] = []
    found: dict[str, dict[str, Wanted]] = {}
    for kind in KINDS:
        found[kind.folder] = {}
        for path in sorted((root / kind.folder).glob("*")):
            wanted = _read(path, kind, problems)
            if wanted is not None:
                found[kind.folder][path.name.removesuffix(SUFFIX)] = wanted
    known = {kind.folder for kind in KINDS}
    problems += [
        f"{path}: no kind is kept here, only in {', '.join(sorted(known))}"
        for path in sorted(root.glob(f"*/*{SUFFIX}"))
        if path.parent.name not in known
    ]
    if problems:
        raise Misconfigured(problems)
    return found


def _read(path: Path, kind: FileKind, problems: list[str]) -> Wanted | None:
    key = path.name.removesuffix(SUFFIX)
    if path.suffix != SUFFIX or KEY.fullmatch(key) is None:
        problems.append(f"{path}: a file is called <key>{SUFFIX}")
        return None
    try:
        document = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, NotYaml) as error:
        problems.append(f"{path}: {error}")
        return None
    if not isinstance(document, dict) or not all(isinstance(name, str) for name in document):
        problems.append(f"{path}: must be an object of fields")
        return None
    status = document.pop("status", LIVE)
    if status not in ((LIVE, PAUSED) if kind.drafted and kind.pausable else (LIVE,)):
        problems.append(f"{path}: status: is {LIVE}, or {PAUSED} where that can be")
    stated = {name: value for name, value in document.items() if name not in OURS}
    if stated.pop("key", key) != key:
        problems.append(f"{path}: key: is not the name of the file")
    try:
        kind.check(key, stated)
    except Unprocessable as error:
        problems += [f"{path}: {one.path or 'document'}: {one.message}" for one in error.problems]
    return Wanted(stated, status if status == PAUSED else LIVE)


def write_folder(root: Path, documents: Mapping[str, Mapping[str, Wanted]]) -> int:
    """Write every document, and take files away whose key is not there any more; how many were
    written. Raises Misconfigured when the folder cannot be written to."""
    count = 0
    try:
        for folder, wanted in documents.items():
            place = root / folder
            place.mkdir(parents=True, exist_ok=True)
            for path in place.glob(f"*{SUFFIX}"):
                if path.name.removesuffix(SUFFIX) not in wanted:
                    path.unlink()
            for key, one in sorted(wanted.items()):
                head = {"status": PAUSED} if one.status == PAUSED else {}
                text = write_yaml({**head, **one.document})
                (place / f"{key}{SUFFIX}").write_text(text, encoding="utf-8")
                count += 1
    except OSError as error:
        raise Misconfigured([f"{error.filename}: {error.strerror}"]) from None
    return count
