"""A trained model is written to files, described by a manifest, and loaded again."""
