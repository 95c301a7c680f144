"""CPUs and GPUs of this machine are counted and measured."""
