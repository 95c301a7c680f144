"""Several studies are put beside each other on one page."""
