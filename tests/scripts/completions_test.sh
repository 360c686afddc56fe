#!/usr/bin/env bash
# Completes flags, their values and file names in bash, zsh and fish, and renders the manual pages. Shells that are not
# installed are skipped. Usage: completions_test.sh TRAIN_GPT GENERATE
train_gpt=$(realpath "$1") generate=$(realpath "$2")
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export HOME=$work # no settings of the user

ln -s "$train_gpt" "$work/stubs/train_gpt"
ln -s "$generate" "$work/stubs/generate"
PATH=$work/stubs:$PATH
for shell in bash zsh fish; do
  train_gpt --completions $shell >"train_gpt.$shell" 2>"$work/err"
  generate --completions $shell >"generate.$shell" 2>>"$work/err"
  [[ ! -s $work/err ]] || fail "--completions $shell writes to standard error: $(<"$work/err")"
done
touch "my text.txt"

# in_bash WORD...: what bash offers for the last word. The flag and its value are words, and so is a = between them.
in_bash() {
  # shellcheck disable=SC2016
  run bash --norc -c 'source "$1.bash" && complete -p "$1" && COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) && "_$1" 2>/dev/null
    printf "[%s]\n" "${COMPREPLY[*]}"' bash "$@"
  expect_status 0 && expect_output "complete -o default -F _$1 $1"
}
# zsh completes in a terminal: in_zsh TEXT: what its line is after the text and a tab.
in_zsh() {
  # shellcheck disable=SC2016
  run zsh -f -c 'zmodload zsh/zpty && zpty z zsh -f -i
    zpty -w z "autoload -Uz compinit && compinit -u -D && source train_gpt.zsh && source generate.zsh"
    zpty -w z "report() { print -r -- \"[\$BUFFER]\" >line; exit }; zle -N report; bindkey \"^X\" report; print READY\$((1 + 1))"
    zpty -r z output "*READY2*" && zpty -w -n z "$1"$'"'\\t\\C-x'"'
    for i in {1..200}; [[ -s line ]] || sleep 0.05
    cat line; rm line' zsh "$1"
  expect_status 0
}
in_fish() {
  # shellcheck disable=SC2016
  run fish --no-config -c 'source train_gpt.fish; source generate.fish; complete -C "$argv[1]"' "$1"
  expect_status 0
}

in_bash train_gpt --act
expect_output "[--activation]"
in_bash train_gpt --seq 8 --activation g
expect_output "[gelu gelu_erf]"
in_bash train_gpt --activation = r
expect_output "[relu]"
in_bash train_gpt --final_layernorm =
expect_output "[true false]"
in_bash generate --device ""
expect_output "[auto cpu hip]"
in_bash generate --pro
expect_output "[--prompt --prompt-file --prompts]"
in_bash generate --logprobs --js
expect_output "[--json]"
for flag in --data-path --lr; do # a file name, and a number
  in_bash train_gpt $flag ""
  expect_output "[]"
done
ok "bash"

if command -v zsh >/dev/null; then
  in_zsh "train_gpt --act"
  expect_output "[train_gpt --activation"
  in_zsh "train_gpt --seq 8 --activation g"
  expect_output "[train_gpt --seq 8 --activation gelu"
  in_zsh "generate --weights=i"
  expect_output "[generate --weights=int8"
  in_zsh "train_gpt --data-path my"
  expect_output '[train_gpt --data-path my\ text.txt'
  in_zsh "train_gpt --lr m"
  expect_output "[train_gpt --lr m]"
  in_zsh "generate --logprobs --js"
  expect_output "[generate --logprobs --json"
  ok "zsh"
fi

if command -v fish >/dev/null; then
  in_fish "train_gpt --act"
  expect_output "--activation"$'\t'"relu, gelu or gelu_erf (relu)"
  in_fish "train_gpt --seq 8 --activation g"
  expect_output gelu
  in_fish "generate --weights=i"
  expect_output int8
  in_fish "train_gpt --data-path my"
  expect_output "my text.txt"
  in_fish "train_gpt --lr m"
  reject_output "my text.txt"
  in_fish "generate --logprobs --js"
  expect_output "--json"
  ok "fish"
fi

for program in train_gpt generate; do
  $program --man >$program.1
  $program --help | sed -n 's/^  \(--[a-z-]*\).*/\1/p' >flags
  [[ $(wc -l <flags) -gt 20 ]] || fail "--help of $program lists few flags"
  if command -v man >/dev/null; then
    run env MANWIDTH=100 LC_ALL=C.UTF-8 man --warnings -l $program.1
    expect_status 0 && reject_output "warning" && expect_output "NAME" && expect_output "EXIT STATUS"
    while IFS= read -r flag; do expect_output " $flag"; done <flags
  fi
  ! grep -q '\(^\|[^\]\)-' $program.1 || fail "$program.1 has a hyphen where a minus is meant"
  if command -v mandoc >/dev/null; then
    run mandoc -T lint -W warning $program.1
    output=$(grep -v 'missing date' <<<"$output" || true)
    [[ -z $output ]] || fail "mandoc has warnings about $program.1"
  fi
done
grep -qF 'auto|cpu|hip|hip:N' generate.1 || fail "generate.1 does not list the devices"
ok "manual pages"

for arguments in "--completions ksh" "--completions"; do
  # shellcheck disable=SC2086
  run generate $arguments
  expect_status 2
done
printf 'man = true\n' >run.cfg
run generate --config run.cfg
expect_status 2 && expect_output "man"
ok "wrong values"
