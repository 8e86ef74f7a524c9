"""The one exception that a user is meant to read."""


class InputError(Exception):
    """An input error. The message names place and cause, and what to do."""

    # dbt prints a Python model's exception with its stack. Where the fault lies in the user's
    # data the stack says nothing, so there is none to print and one line is left.
    __traceback__ = property(lambda self: None, lambda self, value: None)


InputError.__module__ = "builtins"
