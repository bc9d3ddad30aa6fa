#!/usr/bin/env bash
# Train on a Slurm cluster, one task a GPU, through srun:
#
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of
#       tools/train.py]
#
# Environment:
#   GPUS            how many in all (default: 8)
#   GPUS_PER_NODE   how many a node (default: GPUS, at most 8)
#   CPUS_PER_TASK   for the process and its data workers (default: 5)
#   SRUN_ARGS       further options of srun, such as "--time=4:00:00 --qos=low"
#   PYTHON          the interpreter (default: python)
#   MASTER_ADDR, MASTER_PORT   where the tasks meet (default: the first node,
#                   a port that follows from the job id)
# On nodes without GPUs:
#   GPUS_PER_NODE=0 asks for none
#   TASKS_PER_NODE  processes a node (default: 1)
#   NTASKS          processes in all (default: TASKS_PER_NODE)
#   OMP_NUM_THREADS threads of a process (default: 1)
#   GLOO_SOCKET_IFNAME   the network interface, such as eth0, if the nodes do
#                   not reach each other by their host names
#
# A job that can be preempted or requeued is a batch job, with --resume: it
# starts from the beginning the first time, and from the last checkpoint of
# WORK_DIR every other time. For example, on 2 nodes with 8 GPUs each:
#
#   GPUS=16 sbatch --requeue --partition=PART --nodes=2 --ntasks-per-node=8 \
#       --gres=gpu:8 --cpus-per-task=5 --open-mode=append \
#       --wrap "tools/slurm_train.sh PART NAME CONFIG WORK_DIR --resume"

source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
need 4 "$@"
slurm_run "$1" "$2" "$TOOLS/train.py" "$3" --work-dir "$4" "${@:5}"
