#!/usr/bin/env bash
# From a fresh clone to a trained model: packages, training text, build, train_gpt, and a sample of what it learnt.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/run_train.sh [ARGUMENTS OF train_gpt]

Installs what is missing, gets a training text into data/ (unless --data-path names one), builds, trains by
./build/train_gpt, and prints a sample from the trained model by ./build/generate. A second run starts at once.

  ./scripts/run_train.sh
  ./scripts/run_train.sh --steps 1000 --lr 1e-3

The exit status is that of train_gpt.
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
caller=$PWD

# train_gpt runs from the root of the project, so a path or pattern from the caller's folder is made absolute.
from_caller() {
  if [[ $1 != /* ]] && { [[ -e $caller/$1 ]] || compgen -G "$caller/$1" >/dev/null; }; then
    printf '%s' "$caller/$1"
  else
    printf '%s' "$1"
  fi
}

data=""
for_generate=() # the arguments that name the model and the device, which generate must hear of too
arguments=("$@")
name="" # of the flag that a value belongs to: of some there may be several
for ((i = 0; i < ${#arguments[@]}; i++)); do
  prefix=""
  value=${arguments[i]}
  if [[ $value == --* || $value == -h ]]; then
    name=${value%%=*}
    if [[ $value == *=* ]]; then prefix=$name= && value=${value#*=}; else value=""; fi
    name=${name//_/-}
  fi
  case $name in
    --help | -h)
      usage
      if [[ -x $root/build/train_gpt ]]; then
        printf '\n' && exec "$root/build/train_gpt" --help
      fi
      printf '\nThe arguments of train_gpt are printed here once it is built (./scripts/build.sh).\n'
      exit 0
      ;;
    --data-path | --val-data-path | --tokenizer | --init-from | --ckpt | --config)
      if [[ -z $value ]]; then continue; fi
      value=$(from_caller "$value")
      arguments[i]=$prefix$value
      if [[ $name == --data-path && -z $data ]]; then data=$value; fi
      ;;
    --run-name | --device)
      if [[ -n $value ]]; then for_generate+=("$name" "$value"); fi
      ;;
  esac
done

cd "$root"
./scripts/install_deps.sh || echo "run_train.sh: going on; CMake says what it does not find" >&2
if [[ -z $data ]]; then
  ./scripts/download_data.sh
  data=data/data.txt
fi
./scripts/build.sh

status=0
./build/train_gpt "${arguments[@]+"${arguments[@]}"}" || status=$?
if ((status == 0)); then
  # The first words of the text itself are a prompt that any model of it can go on from.
  prompt=""
  if grep -Iqm1 . "$data" 2>/dev/null; then # a text, neither a folder nor token files
    prompt=$(head -c 4096 "$data" | awk 'NF { print $1, $2, $3; exit }' || true)
    prompt=${prompt%"${prompt##*[![:space:]]}"}
  fi
  prompt=${prompt:-The}
  printf '\nSample (./build/generate --prompt "%s"):\n' "$prompt"
  ./build/generate --prompt "$prompt" --num_tokens 100 "${for_generate[@]+"${for_generate[@]}"}" ||
    echo "run_train.sh: training ended well, but the sample did not" >&2
fi
exit "$status"
