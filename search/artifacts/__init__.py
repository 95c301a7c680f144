"""What leaves: a model's files with card and manifest, verified, and its place in MLflow's registry."""
