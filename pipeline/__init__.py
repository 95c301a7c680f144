"""One training run: configuration, data, network, training, test metrics, record. Knows nothing of search."""
