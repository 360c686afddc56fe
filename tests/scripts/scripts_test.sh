#!/usr/bin/env bash
# What each script promises of itself: --help, a second run, arguments, the exit status. Building and apt are faked.
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

for script in build install_deps download_data run_train run_generate run_tests; do
  run "scripts/$script.sh" --help
  expect_status 0 && expect_output "Usage: scripts/$script.sh"
  reject_output $'\e['
  ok "$script.sh --help"
done
for script in build install_deps run_tests; do
  run "scripts/$script.sh" --nonsense
  expect_status 2 && expect_output "--nonsense"
done
ok "unknown arguments"

run scripts/run_generate.sh
expect_status 2 && expect_output "Usage:"
ok "run_generate.sh without arguments"

# ---- install_deps.sh, on a system whose packages are the lines of installed.txt
export FAKE=$work/fake
mkdir "$FAKE" && : >"$FAKE/installed.txt" && : >"$FAKE/apt.log"
stub dpkg-query 'grep -qx "${@: -1}" "$FAKE/installed.txt" && printf installed'
stub apt-cache 'exit 0'
stub sudo 'exec "$@"'
stub apt-get 'echo "$*" >>"$FAKE/apt.log"' 'for p in "$@"; do echo "$p" >>"$FAKE/installed.txt"; done'
run scripts/install_deps.sh
expect_status 0 && expect_output "installing g++"
grep -q ' install .*libutf8proc-dev' "$FAKE/apt.log" || fail "apt-get install was not called: $(cat "$FAKE/apt.log")"
: >"$FAKE/apt.log"
run scripts/install_deps.sh
expect_status 0
[[ ! -s $FAKE/apt.log ]] || fail "apt-get was called with nothing missing"
run scripts/install_deps.sh --with-plots
expect_output "installing python3-matplotlib"
ok "install_deps.sh installs what is missing, once"

: >"$FAKE/installed.txt"
stub apt-get '[[ $* == *" install "* ]] && echo "E: Unable to fetch" && exit 100 || exit 0'
run scripts/install_deps.sh
expect_status 1 && expect_output "E: Unable to fetch" && expect_output "failed"
ok "install_deps.sh says why it failed"

# ---- run_train.sh and run_generate.sh, with everything around train_gpt faked
cat >scripts/install_deps.sh <<<'#!/usr/bin/env bash'
cat >scripts/build.sh <<<'#!/usr/bin/env bash'
printf '%s\n' '#!/usr/bin/env bash' 'mkdir -p data && echo "First Citizen:" >data/data.txt' >scripts/download_data.sh
mkdir build
printf '%s\n' '#!/usr/bin/env bash' 'printf "train in %s:" "$PWD"; printf " <%s>" "$@"; echo; exit "${TRAIN_STATUS:-0}"' >build/train_gpt
printf '%s\n' '#!/usr/bin/env bash' 'printf "generate:"; printf " <%s>" "$@"; echo' >build/generate
chmod +x build/*

run scripts/run_train.sh --steps 3 --run-name first
expect_status 0
expect_output "<--steps> <3> <--run-name> <first>"
expect_output "generate: <--prompt> <First Citizen:> <--num_tokens> <100> <--run-name> <first>"
ok "run_train.sh hands its arguments on and samples"

rm -r data && mkdir "$work/elsewhere" && echo "Once upon a time there was" >"$work/elsewhere/my book.txt"
for form in "--data-path=my book.txt" "--data-path|my book.txt"; do
  IFS='|' read -ra arguments <<<"$form"
  run env -C "$work/elsewhere" "$PWD/scripts/run_train.sh" "${arguments[@]}"
  expect_status 0
  expect_output "train in $PWD:"
  expect_output "$work/elsewhere/my book.txt>"
  expect_output "<Once upon a>"
  [[ ! -e data ]] || fail "a text was downloaded although --data-path was given"
done
ok "run_train.sh --data-path from another folder"

mkdir "$work/elsewhere/books" && cp "$work/elsewhere/my book.txt" "$work/elsewhere/books/1.txt"
run env -C "$work/elsewhere" "$PWD/scripts/run_train.sh" --data-path books "my b*" --val_data_path='*.txt' --steps 3
expect_status 0
expect_output "<--data-path> <$work/elsewhere/books> <$work/elsewhere/my b*> <--val_data_path=$work/elsewhere/*.txt> <--steps> <3>"
expect_output "generate: <--prompt> <The>"
ok "run_train.sh with folders and patterns from another folder"

TRAIN_STATUS=7 run scripts/run_train.sh
expect_status 7 && reject_output "generate:"
ok "the exit status of train_gpt"

run scripts/run_generate.sh --prompt "To be"
expect_status 0
[[ $output == "generate: <--prompt> <To be>" ]] || fail "only generate's output"
ok "run_generate.sh"
