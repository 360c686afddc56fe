#!/usr/bin/env bash
# Checks the includes between the folders of src/, called rooms. A room may include only the rooms in lines above its own, not
# those in the same line or below. A header in include/ belongs to the room at the start of its line. The test also checks
# that only cli/ names the flags of the programs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

#     rooms                  public headers
layers='
util                         error.h philox.h run_flags.h
data                         text.h token_file.h token_shards.h data_loader.h
tokenizer                    tokenizer.h
interface                    device.h operands.h operations.h tensor.h device/check.h device/hip_device_factory.h
hip cpu platform             hip_kernels.h
device
comm                         communicator.h
model                        gpt_model.h gpt_weights.h kv_cache.h model_config.h training_pass.h transformer_layer.h
checkpoint                   checkpoint.h run_folder.h safetensors_file.h stored_weights.h token_roles.h
huggingface                  huggingface.h
records explain
generation                   generator.h run_generation.h
training                     run_training.h trainer.h
cli
programs reference'

# Only these headers use a terminal; other code reports through them.
terminal='util/terminal.h util/print_error.h records/progress_line.h generation/standard_streams.h'
may_include_terminal='^src/(util|cli|generation)/|^src/records/progress_line|^src/training/(run_training|training_loop)\.'

# platform/emulated and platform/nvidia replace a vendor's headers, so they have their own include folders and are not checked.
includes=$(grep -rn --include='*.h' --include='*.cpp' --exclude-dir={emulated,nvidia} '^#include "' src include |
  sed -E 's/^([^:]+):([0-9]+):#include "([^"]+)".*/\1 \2 \3/')

wrong=$(awk -v layers="$layers" -v terminal="$terminal" -v may_include_terminal="$may_include_terminal" '
  BEGIN {
    count = split(layers, lines, "\n")
    for (i = 1; i <= count; i++) {
      words = split(lines[i], word, " ")
      for (j = 1; j <= words; j++) {
        layer[word[j]] = i
        if (word[j] ~ /\.h$/) room[word[j]] = word[1]
      }
    }
    split(terminal, paths, " ")
    for (i in paths) is_terminal[paths[i]] = 1
  }
  function room_of(path, parts) {
    sub(/^(src|include)\//, "", path)
    if (path in room) return room[path]
    if (path !~ /\//) return path ~ /\.cpp$/ ? "programs" : ""
    split(path, parts, "/")
    return parts[1]
  }
  {
    from = room_of($1)
    to = room_of($3)
    if (!(from in layer)) print $1 ": its folder is not in the list of this test"
    else if (!(to in layer)) print $1 ":" $2 ": the folder of " $3 " is not in the list of this test"
    else if (from != to && layer[to] >= layer[from]) print $1 ":" $2 ": " from " must not include " $3 ", which belongs to " to
    if ($3 in is_terminal && $1 !~ may_include_terminal) print $1 ":" $2 ": must not include " $3 ", which uses the terminal"
  }' <<<"$includes")

if [[ -n $wrong ]]; then
  echo "$wrong"
  exit 1
fi
echo "ok: $(wc -l <<<"$includes") includes point one way"

# Messages outside cli/ name a Parameter (util/parameter.h) instead of a flag.
flags=$(grep -rnE --include='*.h' --include='*.cpp' --exclude-dir=cli '^[^/]*"[^"]*--[a-z]' src include || true)
if [[ -n $flags ]]; then
  echo "$flags"
  echo "the lines above name flags outside src/cli; use a Parameter (util/parameter.h)"
  exit 1
fi
echo "ok: only cli/ names flags"
