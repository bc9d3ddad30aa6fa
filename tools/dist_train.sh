#!/usr/bin/env bash
# Train with several processes of this machine, one a GPU, through torchrun:
#
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
#
# On a machine without a GPU, GPUS is the number of processes. Environment:
#   PYTHON       the interpreter (default: python)
#   OMP_NUM_THREADS   threads of a process (default: 1)
#   PORT         where they meet (default: a free port)
# and for several machines, with one call on each:
#   NNODES       how many (default: 1)
#   NODE_RANK    which one this is, from 0
#   MASTER_ADDR  the name or address of number 0; PORT is then 29500 by default

source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
need 2 "$@"
dist_run "$2" "$TOOLS/train.py" "$1" "${@:3}"
