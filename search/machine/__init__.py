"""What this machine has: CPUs, GPUs, and how busy those are."""
