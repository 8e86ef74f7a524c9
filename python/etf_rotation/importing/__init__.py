"""Import files from other programs into the raw layout."""
