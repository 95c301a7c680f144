"""What the benchmarks say of the figures that they measured."""
