"""Figures of a study and of a trial, made of the trial table's entries alone."""
