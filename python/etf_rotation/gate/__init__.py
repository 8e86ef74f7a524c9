"""Inputs of the gate: expectations, metadata, the published build."""
