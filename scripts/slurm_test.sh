#!/usr/bin/env bash
# SLURM for real on this machine: install (Debian), configure, start; submit a training on two ranks, stop it with
# SIGUSR1, preempt it with a job of a higher partition, let it be requeued and finish; compare with a run that nobody
# interrupted. Needs root. Usage: scripts/slurm_test.sh PYTHON [FOLDER]
set -euo pipefail
python=$(realpath -s "$1")
work=$(realpath -m "${2:-/tmp/lartpc_sparse-slurm-test}")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
say() { printf '\n== %s  %s\n' "$(date -u +%H:%M:%S)" "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || fail "needs root, to install and start SLURM"

say "install"
if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
  apt-get install -y --no-install-recommends slurm-wlm munge
fi
slurmctld -V

say "configure in $work"
rm -rf "$work"
mkdir -p "$work"/{state,spool,log,run}
host=$(hostname -s)
cpus=2
cat > "$work/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/run/slurmctld.pid
SlurmdPidFile=$work/run/slurmd.pid
SlurmctldLogFile=$work/log/slurmctld.log
SlurmdLogFile=$work/log/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=60
SchedulerParameters=sched_interval=5,batch_sched_delay=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus Boards=1 SocketsPerBoard=1 CoresPerSocket=$cpus ThreadsPerCore=1 State=UNKNOWN
PartitionName=low Nodes=$host Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=120
PartitionName=high Nodes=$host MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
CONF
export SLURM_CONF="$work/slurm.conf"
started=()
stop() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
}
trap stop EXIT

say "start munged, slurmctld, slurmd"
mkdir -p /run/munge && chown munge:munge /run/munge
if ! munge -n >/dev/null 2>&1; then
  [ -s /etc/munge/munge.key ] || mungekey --create
  runuser -u munge -- /usr/sbin/munged --foreground >"$work/log/munged.log" 2>&1 &
  started+=($!)
  sleep 2
fi
munge -n | unmunge | head -1
slurmctld -D >"$work/log/slurmctld.out" 2>&1 &
started+=($!)
sleep 2
slurmd -D -N "$host" >"$work/log/slurmd.out" 2>&1 &
started+=($!)
for _ in $(seq 30); do sinfo -h -o %T 2>/dev/null | grep -q idle && break; sleep 1; done
sinfo
sinfo -h -o %T | grep -q idle || { tail -20 "$work"/log/*; fail "no idle node"; }

cd "$root"
cat > "$work/chain.yaml" <<CHAIN
run: {name: slurm test, output_dir: $work/interrupted, seed: 7, device: cpu, threads: 1}
data:
  train: {kind: sample, split: train, limit: 40}
  validation: {kind: sample, split: validation, limit: 4}
  test: {kind: sample, split: test, limit: 6}
  transforms: [{kind: merge_duplicates}, {kind: log_energy}]
  batch: {events: 2}
model:
  dim: 3
  backbone: {kind: uresnet, filters: 4, depth: 3, blocks: 1}
  heads: {semantic: {kind: semantic}}
train: {epochs: 6, batch_norm_across_ranks: true}
predict: {part_events: 2}
evaluate: {}
CHAIN
submit() { "$python" -m lartpc_sparse.submit "$work/chain.yaml" --template configs/slurm/cpu.sbatch --python "$python" \
  --name train --log-dir "$work/logs" --sbatch partition=low "$@"; }
state() { squeue -h -j "$1" -o '%T %r restarts=%V' 2>/dev/null || true; }
rows() { [ -f "$work/interrupted/training/training.csv" ] && wc -l < "$work/interrupted/training/training.csv" || echo 0; }
wait_rows() { for _ in $(seq 600); do [ "$(rows)" -ge "$1" ] && return; sleep 0.2; done; fail "no $1 rows in the log"; }
wait_state() { # job, wanted state
  for _ in $(seq 300); do
    now=$(scontrol show job "$1" | sed -n 's/.*JobState=\([A-Z]*\).*/\1/p')
    [ "$now" = "$2" ] && return
    [ "$2" = RUNNING ] && scontrol update "jobid=$1" StartTime=now 2>/dev/null || true
    sleep 1
  done
  scontrol show job "$1"; fail "job $1 is $now, not $2"
}

say "the batch script"
submit
say "submit"
job=$(submit --submit | sed -n 's/.*batch job \([0-9]*\).*/\1/p')
wait_state "$job" RUNNING
squeue
wait_rows 6
say "SIGUSR1 to the ranks after $(rows) lines of the log: they save, and the script requeues the job"
scancel --signal=USR1 "$job"
wait_state "$job" PENDING
squeue
wait_state "$job" RUNNING
wait_rows 22
say "a job of a higher partition preempts it after $(rows) lines: SIGTERM, save, requeue"
first=$(sbatch --parsable --partition=high --ntasks=2 --output="$work/logs/high-%j.log" --wrap "echo high; sleep 15")
wait_state "$job" PENDING
squeue
wait_state "$first" COMPLETED
wait_state "$job" RUNNING
say "it runs to its end"
wait_state "$job" COMPLETED
scontrol show job "$job" | grep -E 'JobState|Restarts|ExitCode'
say "output of the job"
grep -v '^[│┃┏┡└├]' "$work/logs/train-$job.log" | cut -c1-180

say "the same chain in one piece, without SLURM"
OMP_NUM_THREADS=1 "$python" -m torch.distributed.run --nproc-per-node 2 -m lartpc_sparse.run "$work/chain.yaml" \
  --set "run.output_dir=$work/whole" 2>&1 | grep -v '^[│┃┏┡└├]' | cut -c1-180
say "compare"
"$python" scripts/same_run.py "$work/interrupted" "$work/whole"
rm "$work/interrupted/predictions.h5"
say "a job array predicts its shares, then a job joins them"
array=$("$python" -m lartpc_sparse.submit "$work/chain.yaml" --template configs/slurm/predict_array.sbatch \
  --python "$python" --log-dir "$work/logs" --sbatch partition=low gres=none array=0-1 mem=0 cpus-per-task=1 --submit \
  | sed -n 's/.*batch job \([0-9]*\).*/\1/p')
for _ in $(seq 200); do [ -z "$(squeue -h -j "$array" 2>/dev/null)" ] && break; sleep 1; done
tail -n 4 "$work"/logs/chain-"${array}"_*.log | cut -c1-180
ls "$work"/interrupted/predictions.h5.parts/*/
"$python" -m lartpc_sparse.run "$work/chain.yaml" --only predict 2>&1 | tail -3
"$python" scripts/same_run.py "$work/interrupted" "$work/whole"
say "passed"
