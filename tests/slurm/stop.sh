#!/usr/bin/env bash
# End what start.sh started in FOLDER: its jobs, then its daemons, each by the pid that it wrote and only if that pid is still its own.
#   bash tests/slurm/stop.sh [FOLDER]
set -uo pipefail
folder=${1:-${SLURM_REHEARSAL:-/tmp/edge2giant-slurm}}
[ -d "$folder/pid" ] || exit 0
# The wrappers of another cluster may stand first on PATH.
export SLURM_CONF=$folder/slurm.conf PATH=$folder/bin:$PATH

runs() { # program pid
  local program
  program=$(readlink "/proc/$2/exe" 2>/dev/null) || return 1
  program=${program##*/}
  [ "${program%-wlm}" = "$1" ]
}

if runs slurmctld "$(cat "$folder/pid/slurmctld.pid" 2>/dev/null)"; then
  timeout 10 scancel --user="$(id -un)" 2>/dev/null
  for _ in $(seq 20); do
    [ -z "$(timeout 5 squeue --noheader --states=RUNNING,COMPLETING 2>/dev/null)" ] && break
    sleep 0.5
  done
fi
for program in slurmd slurmctld munged; do
  for file in "$folder/pid/$program".pid "$folder/pid/$program"-*.pid; do
    [ -f "$file" ] || continue
    pid=$(cat "$file")
    rm -f "$file"
    runs "$program" "$pid" || continue
    kill "$pid"
    for _ in $(seq 40); do
      runs "$program" "$pid" || break
      sleep 0.25
    done
    ! runs "$program" "$pid" || kill -9 "$pid"
  done
done
