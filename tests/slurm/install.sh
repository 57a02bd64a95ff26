#!/usr/bin/env bash
# SLURM's programs, for a private SLURM on this machine: nothing to do if they are there, else by apt as root on Debian or Ubuntu.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
missing=()
for program in slurmctld slurmd sbatch munged; do
  command -v "$program" >/dev/null || missing+=("$program")
done
if [ "$(id -u)" != 0 ]; then
  echo "error: a private SLURM whose nodes are all on this machine needs root" >&2
  exit 3
fi
[ "${#missing[@]}" -gt 0 ] || exit 0
if ! command -v apt-get >/dev/null; then
  echo "error: ${missing[*]} not installed, and no apt-get to install them (Debian's packages: slurm-wlm, munge)" >&2
  exit 3
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
