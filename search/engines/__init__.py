"""Optuna or KerasTuner suggests trials and prunes them, and sees no test metric."""
