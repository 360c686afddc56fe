#!/usr/bin/env bash
# Tests when the job of scripts/train.slurm queues itself again. srun, squeue and scontrol are fake.
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

export SLURM_SUBMIT_DIR=$PWD SLURM_JOB_ID=7
# job STATUS STATE: runs the job, with a train_gpt that ends with this status, in a job that is in this state.
job() {
  stub srun 'echo "srun $*"' "exit $1"
  stub squeue "[[ \$* == *'--job 7'* ]] && echo $2"
  stub scontrol 'echo "scontrol $*"'
  run bash scripts/train.slurm --run-name mine --lr 1
}
job 0 RUNNING
expect_status 0 && expect_output "srun ./build/train_gpt --resume --run-name mine --lr 1" && reject_output "scontrol"
job 143 RUNNING
expect_status 0 && expect_output "scontrol requeue 7"
job 143 COMPLETING
expect_status 143 && reject_output "scontrol"
job 1 RUNNING
expect_status 1 && reject_output "scontrol"
ok "a job queues itself again after SIGTERM, but not after scancel or an error"
