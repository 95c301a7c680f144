"""Figures of studies and trials are described as data, and drawn for a page or as PNG."""
