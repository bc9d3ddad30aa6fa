# shellcheck shell=bash
# Sourced by dist_*.sh and slurm_*.sh: how processes are started.
set -euo pipefail

TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHON=${PYTHON:-python}
# Works from a checkout, too, where mmdistill need not be installed.
export PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}"
# Otherwise every process starts a thread a core, and torchrun says so.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} MKL_NUM_THREADS=${MKL_NUM_THREADS:-1}

# need N "$@": print the script's header and stop unless there are N arguments.
need() {
    if [ $(($# - 1)) -lt "$1" ]; then
        sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
        exit 2
    fi
}

# dist_run PROCESSES SCRIPT ARGS...: torchrun, one call a node.
dist_run() {
    local processes=$1 where
    shift
    if [ "${NNODES:-1}" = 1 ] && [ -z "${PORT:-}${MASTER_ADDR:-}" ]; then
        where=(--standalone --local-addr=127.0.0.1) # finds a free port
    elif [ "${NNODES:-1}" != 1 ] && [ -z "${MASTER_ADDR:-}" ]; then
        echo "NNODES=$NNODES: set MASTER_ADDR to the first node's name" >&2
        exit 2
    else
        where=(--nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}"
            --master-addr="${MASTER_ADDR:-127.0.0.1}"
            --master-port="${PORT:-29500}")
    fi
    exec "$PYTHON" -m torch.distributed.run "${where[@]}" \
        --nproc-per-node="$processes" "$@" --launcher pytorch
}

# slurm_run PARTITION JOB_NAME SCRIPT ARGS...: srun, one task a process.
slurm_run() {
    local partition=$1 name=$2 tasks per_node gres=()
    shift 2
    if [ "${GPUS_PER_NODE:-}" = 0 ]; then
        per_node=${TASKS_PER_NODE:-1}
        tasks=${NTASKS:-$per_node}
    else
        tasks=${GPUS:-8}
        per_node=${GPUS_PER_NODE:-$((tasks < 8 ? tasks : 8))}
        gres=(--gres="gpu:$per_node")
    fi
    # Without --ntasks-per-node Slurm may place 3 + 1 of 4 tasks.
    # shellcheck disable=SC2086  # SRUN_ARGS is a list of words
    exec srun --partition="$partition" --job-name="$name" \
        --nodes=$(((tasks + per_node - 1) / per_node)) \
        --ntasks="$tasks" --ntasks-per-node="$per_node" \
        --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
        ${gres[@]+"${gres[@]}"} ${SRUN_ARGS:-} \
        "$PYTHON" -u "$@" --launcher slurm
}
