"""Whatever dies, the study goes on: every row of docs/faults.md as a user sees it."""
