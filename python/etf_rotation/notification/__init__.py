"""Notify people of the result of a run."""
