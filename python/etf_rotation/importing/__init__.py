"""Bring files that people already have into the raw layout."""
