#!/usr/bin/env bash
# A real Slurm of one node for the tests: loopback only, no accounting, no cgroups, own munge key. Needs root.
#   slurm.sh install        Debian packages slurm-wlm and munge, with apt-get
#   slurm.sh start FOLDER   everything it writes goes to FOLDER, but for a link at /etc/slurm (see below)
#   slurm.sh stop FOLDER    ends the daemons it started, by their process ids
# SLURM_TEST_CPUS: processors that the node claims to have (all by default; more than there are is allowed).
set -euo pipefail
folder=${2:-}
host=$(hostname -s)

install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y -q slurm-wlm munge || { apt-get update -q && apt-get install -y -q slurm-wlm munge; }
}

configuration() {
  local memory
  memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
  cat <<C
ClusterName=lamofc
SlurmctldHost=$host(127.0.0.1)
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=2,bf_interval=5
ReturnToService=2
MinJobAge=600
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=${SLURM_TEST_CPUS:-$(nproc)} RealMemory=$memory State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE DefMemPerCPU=500 State=UP
C
}

# The executor plugin drops every SLURM_* variable before it submits, SLURM_CONF too: the file must be where Slurm looks.
link() {
  mkdir -p /etc/slurm
  for name in slurm cgroup; do
    if [ -e "/etc/slurm/$name.conf" ] && [ ! -L "/etc/slurm/$name.conf" ]; then
      echo "/etc/slurm/$name.conf is there and not ours: this machine has a Slurm of its own" >&2
      exit 1
    fi
    ln -sfn "$folder/$name.conf" "/etc/slurm/$name.conf"
  done
}

daemon() {
  local name=$1
  shift
  setsid "$@" >"$folder/$name.out" 2>&1 </dev/null &
  echo $! >"$folder/$name.process"
}

until_true() {
  for _ in $(seq 100); do
    "$@" && return 0
    sleep 0.2
  done
  echo "waited 20 s in vain for: $*; logs in $folder" >&2
  return 1
}

idle() { [ "$(sinfo -h -o %T 2>/dev/null)" = idle ]; }

start() {
  mkdir -p "$folder"/{spool,state,munge}
  chmod 755 "$folder" "$folder/munge"
  head -c 1024 /dev/urandom >"$folder/key"
  chmod 600 "$folder/key"
  configuration >"$folder/slurm.conf"
  : >"$folder/cgroup.conf"
  link
  daemon munged munged --foreground --force --num-threads=2 --key-file="$folder/key" --socket="$folder/munge/socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" --seed-file="$folder/munged.seed"
  until_true test -S "$folder/munge/socket"
  daemon slurmctld slurmctld -D -f "$folder/slurm.conf"
  daemon slurmd slurmd -D -f "$folder/slurm.conf" -N "$host"
  until_true idle
}

stop() {
  for name in slurmd slurmctld munged; do
    [ -s "$folder/$name.process" ] && kill "$(cat "$folder/$name.process")" 2>/dev/null || true
    rm -f "$folder/$name.process"
  done
  for name in slurm cgroup; do
    [ "$(readlink "/etc/slurm/$name.conf" || true)" != "$folder/$name.conf" ] || rm -f "/etc/slurm/$name.conf"
  done
}

case "${1:-}" in
install | start | stop) "$1" ;;
*) sed -n '2,7p' "$0" >&2 && exit 2 ;;
esac
