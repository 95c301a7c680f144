"""How long trials and studies take, and what they need, is told before they run."""
