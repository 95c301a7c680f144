"""A run is put in words: its configuration, its result, and which runs can be compared."""
