"""What is refused in the source of a template before python-liquid reads it.

Its lexers are regular expressions that go back over the rest of the text for each tag that is not
closed, and over the rest of a tag for each bracket and each space of a long run in it: 32 kB of
those take them minutes.
"""

import re

MAX_SOURCE = 32_768
MAX_SPACES = 100
MAX_BRACKETS = 100
MAX_PARTS = 30
"""Of one variable: `profile.address.city` has three. Each is looked up, and some things are done
for each pair of them."""

_SPACES = re.compile(rf"\s{{{MAX_SPACES + 1}}}")
_PATH = re.compile(rf"(?:\s*\.\s*[\w-]+|\s*\[[^\[\]]*\]){{{MAX_PARTS}}}")
_VERBATIM = re.compile(r"\{%-?[ \t\r\n]{0,9}(end)?(raw|doc)\b")


def source_problem(source: str) -> tuple[str, str] | None:
    """The rule that the source breaks and a sentence that says how; None when it may be read."""
    if len(source) > MAX_SOURCE:
        return "max_length", f"has {len(source)} characters, at most {MAX_SOURCE}"
    if "\x00" in source or any("\ud800" <= letter <= "\udfff" for letter in source):
        return "text", "must not hold U+0000 or half a surrogate pair"
    for opening, closing in (("{{", "}}"), ("{%", "%}")):
        *tags, rest = source.split(closing)
        if opening in rest:
            return "liquid", f"a {opening} has no {closing} after it"
        for tag in (text[text.index(opening) :] for text in tags if opening in text):
            if _SPACES.search(tag):
                return "liquid", f"a tag has more than {MAX_SPACES} spaces in a row"
            if tag.count("(") + tag.count("[") > MAX_BRACKETS:
                return "liquid", f"a tag has more than {MAX_BRACKETS} brackets"
            if _PATH.search(tag):
                return "max_depth", f"a variable has more than {MAX_PARTS} parts"
    unclosed = {name: end == "" for end, name in _VERBATIM.findall(source)}  # the last of each
    for name in (name for name, is_open in unclosed.items() if is_open):
        return "liquid", f"a {{% {name} %}} has no {{% end{name} %}}"
    return None
