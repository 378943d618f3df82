#!/bin/bash
# submit.sh QUESTIONS RUN CONFIG SHARDS [AT_ONCE]: an array job with a task for each shard, and the
# job that merges them. RUN is a URL that all nodes reach: s3://…, or a shared folder, file:///shared/…
set -euo pipefail

usage="usage: submit.sh QUESTIONS RUN CONFIG SHARDS [AT_ONCE]"
questions=${1:?$usage} run=${2:?$usage} config=${3:?$usage} shards=${4:?$usage} at_once=${5:-$4}
here=$(dirname "$0")
array=$(sbatch --parsable --array="0-$((shards - 1))%$at_once" \
  "$here/shard.sbatch" "$questions" "$run" "$config" "$shards")
sbatch --dependency="afterok:${array%%;*}" "$here/merge.sbatch" "$run"
