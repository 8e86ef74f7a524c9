"""Collect what the gate judges."""
