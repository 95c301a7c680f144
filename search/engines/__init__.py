"""What suggests trials."""
