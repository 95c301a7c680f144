#!/bin/bash
# Save as {{folder}}/plumbline-{{study}}.sh; then, in `scrontab -e`:
#   {{when}} sbatch {{folder}}/plumbline-{{study}}.sh
#SBATCH --job-name=plumbline-{{study}}
#SBATCH --dependency=singleton
#SBATCH --nodes=1
#SBATCH --time={{minutes}}
#SBATCH --signal=B:TERM@{{stop_seconds}}
#SBATCH --output={{log_folder}}/plumbline-{{study}}-%j.log
#SBATCH --gpus={{gpus}}
set -u
cd {{folder}} || exit 74
# A shell that passes SIGTERM on, and takes exit code 75, stopped but resumable, as no error.
{{command}} &
child=$!
trap 'kill -TERM "$child"' TERM
code=0
wait "$child" || code=$?
while kill -0 "$child" 2>/dev/null; do code=0; wait "$child" || code=$?; done
if [ "$code" -eq 75 ]; then code=0; fi
exit "$code"
