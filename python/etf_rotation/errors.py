"""The one exception that a user is meant to read."""


class InputError(Exception):
    """Input that the build cannot work with; the message says what and where, and what to do."""
