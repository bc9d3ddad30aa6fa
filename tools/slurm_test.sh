#!/usr/bin/env bash
# Test on a Slurm cluster, one task a GPU, through srun:
#
#   tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of
#       tools/test.py]
#
# The environment (GPUS GPUS_PER_NODE CPUS_PER_TASK SRUN_ARGS PYTHON, and
# TASKS_PER_NODE NTASKS on nodes without GPUs) is that of slurm_train.sh.

source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
need 4 "$@"
slurm_run "$1" "$2" "$TOOLS/test.py" "$3" "$4" "${@:5}"
