"""The loop of a study: what to train next, and what is made of what comes back."""
