"""A trial's model becomes files that are verified, described, and registered in MLflow."""
