"""What people see: the real MLflow UI and the report's page, in a real browser."""
