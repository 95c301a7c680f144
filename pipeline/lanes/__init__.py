"""The loop of a run is chosen: one of its own, or a lane of a program that trains several at once."""
