"""What is known: the trial table in SQLite or PostgreSQL, its lock, the kept weights."""
