"""What is told of runs: records, their publication off the training path, the door to MLflow."""
