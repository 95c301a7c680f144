"""A model as files: how it is written, what stands beside it, how it is loaded again."""
