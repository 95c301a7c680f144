"""Pictures of digits from elsewhere, read with care and made like the data that a model knows."""
