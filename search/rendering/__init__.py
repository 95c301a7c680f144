"""A study's report as a page and as files."""
