"""The network and the loops that move it on by whole epochs; all that depends on the backend."""
