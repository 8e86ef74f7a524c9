"""Import files of other programs into the raw layout."""
