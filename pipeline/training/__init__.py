"""One run from its configuration to its result: fitted, scored, diagnosed."""
