#!/usr/bin/env bash
# Bring up a private SLURM on this machine, with the servers of an entry of config/clusters.yaml as nodes and declared GPUs.
# Debian or Ubuntu, as root, no systemd needed; packages that are missing are installed.
#   bash tests/slurm/start.sh [FOLDER] [CLUSTER]     then   . FOLDER/env.sh
#   bash tests/slurm/stop.sh [FOLDER]
set -euo pipefail
folder=${1:-${SLURM_REHEARSAL:-/tmp/edge2giant-slurm}}
cluster=${2:-rehearsal}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-python3}
export PATH=$PATH:/usr/sbin:/sbin

bash "$here/install.sh"

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
for file in "$folder"/pid/*.pid; do
  if [ -f "$file" ] && kill -0 "$(cat "$file")" 2>/dev/null; then
    echo "error: $folder: a cluster is running there (${file##*/}); run tests/slurm/stop.sh $folder" >&2
    exit 2
  fi
done
rm -rf "$folder"/{state,spool,munge,pid}
nodes=$("$python" "$here/declare.py" "$cluster" "$folder")
chmod 711 "$folder/munge"
(umask 377 && head -c 1024 /dev/urandom >"$folder/munge/key")

# The wrappers of another cluster may stand first on PATH.
export SLURM_CONF=$folder/slurm.conf PATH=$folder/bin:$PATH
munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --seed-file="$folder/munge/seed" \
  --pid-file="$folder/pid/munged.pid" --log-file="$folder/log/munged.log"
slurmctld
for node in $nodes; do slurmd -N "$node"; done

wanted=$(wc -w <<<"$nodes")
for _ in $(seq 60); do
  idle=$(timeout 3 sinfo --noheader --Node --partition anywhere --format %T 2>/dev/null | grep -c '^idle$' || true)
  [ "$idle" = "$wanted" ] && break
  sleep 0.5
done
timeout 5 sinfo --Node --partition anywhere --format "%N %T %c %m %G" || true
if [ "$idle" != "$wanted" ]; then
  echo "error: $idle of $wanted nodes came up; see $folder/log" >&2
  exit 1
fi
echo "ready: . $folder/env.sh"
