"""What every command shares: composing the configuration, one clear error, signals, exit codes."""
