"""KerasTuner's search algorithms are made anew from the trials on record."""
