#!/usr/bin/env bash
# Makes the first inputs of every fuzz target with the two programs. The files are small, because a fuzzer mutates small
# files more thoroughly.
# Usage: make_seeds.sh BUILD_FOLDER
set -euo pipefail

build=$(cd "$1" && pwd)
corpus=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/corpus
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# keep TARGET NAME: saves standard input as a seed.
keep() {
  mkdir -p "$corpus/$1"
  cat >"$corpus/$1/seed-$2"
}

printf 'to be or not to be, that is the question<|endoftext|> %.0s' {1..20} >text.txt
train=("$build/train_gpt" --steps 1 --dim 2 --heads 1 --layers 1 --ff 1 --seq 2 --tied-head true
  --head-bias false)
"${train[@]}" --data-path text.txt --vocab-size 262 >log
keep tokenizer_json trained <tokenizer.json
keep token_file u16 <tokens.bin
{ # GPT-2's two files, with a zero byte between them
  echo '{' && sed -n '/"vocab": {/,/^    }/p' tokenizer.json | sed '1d;$d' && echo '}'
  printf '\0#version: 0.2\n'
  sed -n '/"merges": \[/,/^    \]/p' tokenizer.json | sed -n 's/^ *\["\(.*\)", "\(.*\)"\],\{0,1\}$/\1 \2/p'
} | keep tokenizer_json gpt2-files
{ # 70,000 tokens take four bytes each; the target sets the checksums
  printf 'HIPGPTOK\x01\0\0\0\x04\0\0\0\x04\0\0\0\0\0\0\0\x70\x11\x01\0\0\0\0\0' && head -c 40 /dev/zero
  printf '\x01\0\0\0\x02\0\0\0\x6f\x11\x01\0\x03\0\0\0'
} | keep token_file u32
{ # llm.c: magic 20240520, version 1, two tokens, and zeros up to byte 1024
  printf '\x88\xd8\x34\x01\x01\0\0\0\x02\0\0\0' && head -c 1012 /dev/zero && printf '\x01\0\x02\0'
} | keep token_file llmc
sed 's/<|endoftext|>//g' text.txt >plain.txt
"${train[@]}" --data-path plain.txt --vocab-size 256 --reset >log
keep checkpoint weights <gpt_checkpoint.bin
keep checkpoint moments <gpt_checkpoint.optimizer.bin
# Files as other programs write them: without checksums, and with tensors at odd addresses, since the header is one space
# shorter.
for seed in weights:gpt_checkpoint.bin moments:gpt_checkpoint.optimizer.bin; do
  file=${seed#*:}
  length=$(od -An -tu8 -N8 "$file" | tr -d ' ')
  { # shellcheck disable=SC2059
    printf "\\x$(printf %02x $((length % 256 - 1)))"
    head -c $((length + 7)) "$file" | tail -c +2
    tail -c +$((length + 9)) "$file"
  } | LC_ALL=C sed 's/checksum/checksun/g' | keep checkpoint "foreign-${seed%%:*}"
done

{ printf '\x02' && sed "s|$build/||" metrics.jsonl && printf '{"step":3,"loss":2.5,"tokens_per_s":1e3,"elapsed_s":2}\n{"step":3,"val_loss":2}
{"step":3,"prompt":"a","sample":"b","elapsed_s":2.5}\n'; } | keep metrics run
tr ',' '\n' <metrics.jsonl | sed -n 's/.*"\(--[a-z-]*=[^"]*\)".*/\1/p' | keep saved_flags run
printf -- '--data-path=a\n--data-path=b\n--tensorboard=/x\n--help\n--config=y\n--lr=1e-3\n--tied-head=true\n--seed=5\n--\nz\n' |
  keep saved_flags stranger

"${train[@]}" --data-path plain.txt --vocab-size 256 --reset --preset gpt2 --run-name exported >log
"$build/generate" --run-name exported --export exported >log
keep config_json exported <exported/config.json
keep config train <<'TEXT'
data-path = "text.txt"
steps = 100
lr = 1e-3
# a comment
preset = gpt2
tied_head = true
reset = true
TEXT
keep config generate <<'TEXT'
prompt = "the king"
num_tokens = 20
top-p = 0.9
temp = 0
TEXT

keep encode words <<<"The king's 12 men don't sleep,  they'll <|endoftext|>eat 42 éclairs. 世界"
keep encode long-word <<<"antidisestablishmentarianismantidisestablishmentarianism   	  abc"
printf 'abc def <|endoftext|>\xe4\xb8\x96\xf6' | keep encode two-pieces # the sum of its bytes is a multiple of 256
printf '\xff\xc0\x80\xed\xa0\x80 \xf0\x9f\x98 \xc2\xa0\xe2\x80\x83x' | keep encode malformed
printf '\x01\x00\x00\x00\x00\xff\xff\xff\x7f\xff\xff\xff\xff' | keep decode any
printf '\x00\x01\x00\x80\x00\xc8\x00\x04\x01\x2b\x01' | keep decode vocabulary
