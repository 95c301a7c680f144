"""Whatever dies, the study goes on: every row of the README's "What happens when..." as a user sees it."""
