"""Files that make cron, systemd, SLURM or Kubernetes run a study: the time, the templates, the quoting."""
