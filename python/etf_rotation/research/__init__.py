"""Evaluate many variants of a strategy."""
