"""Tell people what a run came to."""
