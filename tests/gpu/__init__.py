"""docs/gpu.md, command after command, on a real GPU."""
