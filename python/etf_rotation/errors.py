"""The one exception that a user is meant to read."""


class InputError(Exception):
    """Input that the build cannot work with; the message says what and where, and what to do."""

    # dbt prints a Python model's exception with its stack. Where the fault lies in the user's
    # data the stack says nothing, so there is none to print and one line is left.
    __traceback__ = property(lambda self: None, lambda self, value: None)


InputError.__module__ = "builtins"
