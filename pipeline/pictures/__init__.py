"""Pictures of digits are read with care, and made like the images that a model knows."""
