#!/bin/bash
# Labels the clips in clips/ by GNU parallel, a share a machine that mounts this folder: `parallel.sh host1,host2`;
# `parallel.sh :` is this machine alone. Started again, it goes on where it was. At the end:
#
#   classify merge labels/*.parquet -o labels.parquet --expect clips
set -eu
hosts=$1

mkdir -p labels
# 1: all clips have their rows, and some of them say what is wrong with the clip. That is no reason to try again.
share='classify clips --model ucf14-lite0-lstm --shard {}/10 --resume -o labels/{}.parquet || [ $? -eq 1 ]'
# A machine has one share at a time, as a share takes all its cores.
parallel --sshlogin "$hosts" --workdir . --jobs 1 --retries 3 "$share" ::: {0..9}
