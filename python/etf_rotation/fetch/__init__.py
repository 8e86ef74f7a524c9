"""Fill the folder of raw bars from a data vendor, and keep it current."""
