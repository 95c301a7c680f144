"""Runs are told to MLflow, again and again until it has them, off the training path."""
