"""Functions that put a fault into a workspace, and return the words that its message must hold."""
