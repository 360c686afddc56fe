#!/usr/bin/env bash
# Goes from a fresh clone to a trained model: packages, training text, build, train_gpt, and a sample of its text.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # for `sh scripts/run_train.sh`
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/run_train.sh [ARGUMENTS OF train_gpt]

Installs missing packages, downloads a training text into data/ (unless --data-path names one), builds, trains with
./build/train_gpt, and prints a sample of the trained model with ./build/generate. A second run starts training at once.

  ./scripts/run_train.sh
  ./scripts/run_train.sh --steps 1000 --lr 1e-3

The exit status is that of train_gpt.
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
caller=$PWD

# train_gpt runs in the root of the project, so paths and patterns that are relative to the caller's folder become absolute.
from_caller() {
  if [[ $1 != /* ]] && { [[ -e $caller/$1 ]] || compgen -G "$caller/$1" >/dev/null; }; then
    printf '%s' "$caller/$1"
  else
    printf '%s' "$1"
  fi
}

data=""
for_generate=() # the arguments that generate needs too: the model and the device
arguments=("$@")
name="" # of the flag that a value belongs to; a flag may have several values
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
      printf '\nTo see the arguments of train_gpt here, build it first: ./scripts/build.sh\n'
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
./scripts/install_deps.sh || echo "run_train.sh: continuing without these packages; CMake reports what it cannot find" >&2
if [[ -z $data ]]; then
  ./scripts/download_data.sh
  data=data/data.txt
fi
./scripts/build.sh

status=0
./build/train_gpt "${arguments[@]+"${arguments[@]}"}" || status=$?
if ((status == 0)); then
  # The text's own first words are a prompt that any model trained on it can continue.
  prompt=""
  if grep -Iqm1 . "$data" 2>/dev/null; then # a text file, not a folder or a token file
    prompt=$(head -c 4096 "$data" | awk 'NF { print $1, $2, $3; exit }' || true)
    prompt=${prompt%"${prompt##*[![:space:]]}"}
  fi
  prompt=${prompt:-The}
  printf '\nSample (./build/generate --prompt "%s"):\n' "$prompt"
  ./build/generate --prompt "$prompt" --num_tokens 100 "${for_generate[@]+"${for_generate[@]}"}" ||
    echo "run_train.sh: training succeeded, but ./build/generate could not print a sample (see above)" >&2
fi
exit "$status"
