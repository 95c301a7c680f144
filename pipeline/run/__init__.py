"""What one run is and what it leaves: its configuration and its result, without anything that trains."""
