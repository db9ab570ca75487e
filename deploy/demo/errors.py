"""What ends the demo: one line that says what is wrong and where to look."""


class DemoError(Exception):
    """The demo cannot go on; `str()` is for the person who started it."""
