"""Terminal, summary file, tracker and report hear how a study goes."""
