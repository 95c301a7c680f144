"""A study is written down for cron, systemd, SLURM or Kubernetes, with every value quoted."""
