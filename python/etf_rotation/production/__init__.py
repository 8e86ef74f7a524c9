"""Build, check, publish and store production runs."""
