"""KerasTuner's search algorithms, each made anew from the trials that it suggested."""
