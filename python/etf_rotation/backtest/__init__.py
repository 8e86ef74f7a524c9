"""Simulate the accounts, session by session."""
