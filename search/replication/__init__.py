"""The published networks: trained, tracked and set beside what their sources report."""
