"""The trial table keeps all that is known of a study, in SQLite or PostgreSQL, for one writer."""
