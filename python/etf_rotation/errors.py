"""The exception whose message is written for the user."""


class InputError(Exception):
    """An input error. The message names its place, its cause, and what to do."""

    # dbt prints a Python model's exception with its stack. A stack says nothing about a
    # fault in the user's data. Without a traceback, dbt prints the message alone.
    __traceback__ = property(lambda self: None, lambda self, value: None)


InputError.__module__ = "builtins"
