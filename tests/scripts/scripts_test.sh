#!/usr/bin/env bash
# Tests what each script promises: --help, a second run, arguments, the exit status. Builds and apt are fake.
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

if command -v dash >/dev/null; then # the sh of Debian and Ubuntu
  for script in build install_deps download_data run_train run_generate run_tests; do
    run dash "scripts/$script.sh" --help
    expect_status 0 && expect_output "Usage: scripts/$script.sh"
  done
  ok "scripts that sh runs"
fi

# A file in place of the folder stands for a read-only project, also for root.
for case in build:build.sh data:download_data.sh; do
  rm -rf "${case%:*}" && : >"${case%:*}"
  run "scripts/${case#*:}"
  expect_status 1 && expect_output "${case#*:}: $PWD/${case%:*} cannot be written; copy the project"
  reject_output "mkdir:"
  rm "${case%:*}"
done
ok "a project that cannot be written to"

run scripts/run_generate.sh
expect_status 2 && expect_output "Usage:"
ok "run_generate.sh without arguments"

# ---- install_deps.sh, on a fake system whose packages are the lines of installed.txt
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
[[ ! -s $FAKE/apt.log ]] || fail "apt-get was called although nothing was missing"
TMPDIR=$work/missing run scripts/install_deps.sh --with-plots
expect_status 1 && expect_output "install_deps.sh: $work/missing cannot be written; set TMPDIR"
run scripts/install_deps.sh --with-plots
expect_output "installing python3-matplotlib"
ok "install_deps.sh installs what is missing, once"

: >"$FAKE/installed.txt"
stub apt-get '[[ $* == *" install "* ]] && echo "E: Unable to fetch" && exit 100 || exit 0'
run scripts/install_deps.sh
expect_status 1 && expect_output "E: Unable to fetch" && expect_output "failed"
ok "install_deps.sh reports why it failed"

# ---- build.sh, with a fake cmake whose builds print build.txt
stub cmake '[[ $1 == --build ]] || { mkdir -p build && echo "-- HIP platform: none (no GPU)" && echo "$*" >"$FAKE/options.txt" && exit 0; }' \
  'touch build/CMakeCache.txt' 'cat "$FAKE/build.txt"' 'exit "${BUILD_STATUS:-0}"'
printf '[%s/8] Building CXX object src/file.cpp.o\n' 1 2 3 4 5 6 7 8 >"$FAKE/build.txt"
run scripts/build.sh
expect_status 0
[[ $output == $'Build: configuring build/\nBuild: HIP platform: none (no GPU)\nBuild: 25%\nBuild: 50%\nBuild: 75%\nBuild: 100%' ]] ||
  fail "the output is not a line for each quarter"
run scripts/build.sh
reject_output "configuring"
printf 'ninja: no work to do.\n' >"$FAKE/build.txt"
run scripts/build.sh
[[ $status == 0 && -z $output ]] || fail "output although ninja had nothing to build"
printf '%s\n' "Consolidate compiler generated dependencies of target hipgpt" "[ 50%] Built target hipgpt" \
  "make[1]: Leaving directory 'build'" >"$FAKE/build.txt"
run scripts/build.sh
[[ $status == 0 && -z $output ]] || fail "output although make had nothing to build"
printf '%s\n' "[ 10%] Building CXX object a.cpp.o" "a.cpp:1:2: error: no such thing" "    1 | [here]" "      | ^~~" \
  "make[2]: *** [a.cpp.o] Error 1" >"$FAKE/build.txt"
BUILD_STATUS=2 run scripts/build.sh
expect_status 1
expect_output $'a.cpp:1:2: error: no such thing\n    1 | [here]\n      | ^~~\nmake[2]: *** [a.cpp.o] Error 1'
if command -v script >/dev/null; then
  printf '[%s/2] Building CXX object src/file%s.cpp.o\n' 1 1 2 2 >"$FAKE/build.txt"
  run script -qec scripts/build.sh /dev/null
  expect_output $'\rBuild:  50%  file1.cpp\e[K\rBuild: 100%  file2.cpp\e[K\r\e[K'
fi
rm -r build "$work/stubs/cmake"
ok "build.sh shows progress, and the complete output of a failure"

# ---- run_train.sh and run_generate.sh, with fake scripts and programs
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
ok "run_train.sh passes its arguments and prints a sample"

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
[[ $output == "generate: <--prompt> <To be>" ]] || fail "the output is more than generate's"
ok "run_generate.sh"
