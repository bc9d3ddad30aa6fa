#!/usr/bin/env bash
# Test with several processes of this machine, one a GPU, through torchrun:
#
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
#
# The environment (PYTHON PORT NNODES NODE_RANK MASTER_ADDR) is that of
# dist_train.sh.

source "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
need 3 "$@"
dist_run "$3" "$TOOLS/test.py" "$1" "$2" "${@:4}"
