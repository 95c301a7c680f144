"""One run goes from its configuration to its result: fitted, scored, diagnosed."""
