"""Try many variants of a strategy."""
