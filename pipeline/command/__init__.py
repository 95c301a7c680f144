"""Every command shares this: the configuration composed, one clear error, signals, exit codes."""
