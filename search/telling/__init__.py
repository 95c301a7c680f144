"""Who hears of a study while it runs: terminal, summary file, tracker, report."""
