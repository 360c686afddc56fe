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

data=""
for_generate=() # the arguments that name the model and the device, which generate must hear of too
arguments=("$@")
for ((i = 0; i < ${#arguments[@]}; i++)); do
  name=${arguments[i]%%=*}
  name=${name//_/-}
  if [[ ${arguments[i]} == *=* ]]; then
    value_at=$i
    value=${arguments[i]#*=}
  else
    value_at=$((i + 1))
    value=${arguments[i + 1]:-}
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
    --data-path)
      # train_gpt runs from the root of the project, so a path from the caller's folder is made absolute.
      if [[ $value != /* && -e $caller/$value ]]; then
        value=$caller/$value
        if ((value_at == i)); then arguments[i]=$name=$value; else arguments[value_at]=$value; fi
      fi
      data=$value
      ;;
    --run-name | --device) for_generate+=("$name" "$value") ;;
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
  prompt=$(head -c 4096 "$data" | awk 'NF { print $1, $2, $3; exit }' || true)
  prompt=${prompt%"${prompt##*[![:space:]]}"}
  printf '\nSample (./build/generate --prompt "%s"):\n' "$prompt"
  ./build/generate --prompt "${prompt:-The}" --num_tokens 100 "${for_generate[@]+"${for_generate[@]}"}" ||
    echo "run_train.sh: training ended well, but the sample did not" >&2
fi
exit "$status"
