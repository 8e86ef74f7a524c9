"""Check limits, and estimate how much capital a pool can carry."""
