"""A study's trials are ranked and weighed: who leads, how surely, and which parameters mattered."""
