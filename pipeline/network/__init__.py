"""The network is built, and trained by whole epochs: all that depends on the backend."""
