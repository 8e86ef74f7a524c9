"""Plan the next session's orders."""
