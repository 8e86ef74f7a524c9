"""Summarize the factors and select the funds."""
