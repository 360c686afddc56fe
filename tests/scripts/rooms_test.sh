#!/usr/bin/env bash
# The rooms of src/ and which may include which: arrows point down the list below, never up, and never between two rooms of
# one line. A header in include/ belongs to the room that its line names. And only cli/ knows the flags of the programs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

#     rooms                  public headers
layers='
util                         error.h philox.h
data                         text.h token_file.h token_shards.h data_loader.h
tokenizer                    tokenizer.h
interface                    device.h operands.h operations.h tensor.h device/check.h device/hip_device_factory.h
hip cpu platform             hip_kernels.h
device
model                        gpt_model.h gpt_weights.h kv_cache.h model_config.h training_pass.h transformer_layer.h
checkpoint                   checkpoint.h run_folder.h safetensors_file.h stored_weights.h
huggingface                  huggingface.h
records
generation                   generator.h run_generation.h
training                     run_training.h trainer.h
cli
programs reference'

# The only ones that know of a terminal. Everything else that reports goes through one of them.
terminal='util/terminal.h util/print_error.h records/progress_line.h generation/standard_streams.h'
may_include_terminal='^src/(util|cli|generation)/|^src/records/progress_line|^src/training/(run_training|training_loop)\.'

# platform/emulated and platform/nvidia stand in for a vendor's headers: they are a world of their own.
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
    if (!(from in layer)) print $1 ": belongs to no room of this test"
    else if (!(to in layer)) print $1 ":" $2 ": " $3 " belongs to no room of this test"
    else if (from != to && layer[to] >= layer[from]) print $1 ":" $2 ": " from " includes " $3 ", of " to
    if ($3 in is_terminal && $1 !~ may_include_terminal) print $1 ":" $2 ": " $3 " is the terminal"
  }' <<<"$includes")

if [[ -n $wrong ]]; then
  echo "$wrong"
  exit 1
fi
echo "ok: $(wc -l <<<"$includes") includes point one way"

# A message below cli/ names a Parameter (util/parameter.h).
flags=$(grep -rnE --include='*.h' --include='*.cpp' --exclude-dir=cli '^[^/]*"[^"]*--[a-z]' src include || true)
if [[ -n $flags ]]; then
  echo "$flags"
  echo "names of flags, outside of src/cli"
  exit 1
fi
echo "ok: only cli/ names flags"
