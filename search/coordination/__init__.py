"""The loop of a study asks for trials, has them trained, and records what came of them."""
