"""A study on record is opened to be read: in Python, as one table, as a file."""
