"""Inputs of the gate: expectations, run metadata, the published build."""
