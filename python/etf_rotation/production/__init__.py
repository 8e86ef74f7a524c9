"""Build, judge, publish and keep production runs."""
