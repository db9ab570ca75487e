"""The one error the local stack raises for things its user can put right.

Its message is a single line that names what is wrong and what to do; the command line prints it
and exits with code 1. Anything else that escapes is a bug and keeps its traceback.
"""


class StackError(Exception):
    """The local stack cannot go on, for a reason its user can remove."""
