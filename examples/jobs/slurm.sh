#!/bin/bash
#SBATCH --job-name=classify
#SBATCH --array=0-9
#SBATCH --cpus-per-task=4
#SBATCH --mem-per-cpu=500M
#SBATCH --requeue
# Labels the clips in clips/ by an array of Slurm's, a share a task: `sbatch slurm.sh`. A task that is requeued, or
# submitted again (`sbatch --array=3 slurm.sh`), goes on where it was. When all are done:
#
#   classify merge labels/*.parquet -o labels.parquet --expect clips
set -u
# As in --array above, also where only some tasks run again.
shares=10

mkdir -p labels
classify clips --model ucf14-lite0-lstm --threads "$SLURM_CPUS_PER_TASK" \
    --shard "$SLURM_ARRAY_TASK_ID/$shares" --resume -o "labels/$SLURM_ARRAY_TASK_ID.parquet"
status=$?
# 1: all clips have their rows, and some of them say what is wrong with the clip. That is no failure of the task.
[ $status -eq 1 ] || exit $status
