"""Draw the report page."""
