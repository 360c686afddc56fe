#!/usr/bin/env bash
# Runs every bash block of README.md unchanged and in order, in a copy of the project. Stubs shorten what would take minutes.
# `cmake` configures, but `cmake --build` copies the programs of BUILD_FOLDER; `make` and `ctest` only print what they would do.
# train_gpt takes two steps of two sequences. The packages count as installed, and a text is present.
# Usage: readme_test.sh BUILD_FOLDER
build=$(cd "$1" && pwd)
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
unset CMAKE_GENERATOR

cp -R "$repository"/{CMakeLists.txt,README.md,LICENSE,include,src,tests} .
mkdir data
cat src/*/*.cpp | tee data/data.txt >my.txt
printf 'To be\nMy kingdom\n' >lines.txt

# These programs are installed instead of a build.
cat >"$work/install_programs" <<TEXT
#!/usr/bin/env bash
cp "$build/generate" "\$1/generate"
cat >"\$1/train_gpt" <<'PROGRAM'
#!/usr/bin/env bash
arguments=()
while ((\$#)); do
  case \$1 in
    --steps | --batch | --eval-batches) shift ;;
    *) arguments+=("\$1") ;;
  esac
  shift
done
exec "$build/train_gpt" "\${arguments[@]}" --steps 2 --batch 2 --eval-batches 1
PROGRAM
chmod +x "\$1/train_gpt"
TEXT
chmod +x "$work/install_programs"
# Reuses the libraries that the build downloaded.
configure=$(command -v cmake)
[[ ! -d $build/_deps ]] || configure+=" -DFETCHCONTENT_FULLY_DISCONNECTED=ON -DFETCHCONTENT_BASE_DIR=$build/_deps"
stub cmake "[[ \$1 == --build ]] && exec $work/install_programs \$2" "exec $configure \"\$@\""
stub make "$(command -v make) --dry-run \"\$@\" >make.log" "exec $work/install_programs ."
stub ctest "$(command -v ctest) --show-only \"\$@\"" "echo 'ctest ran'"
stub dpkg-query 'printf installed'
stub apt-get 'exit 100'

# Writes each block to a file.
awk -v folder="$work" '/^```bash$/ { n++; file = sprintf("%s/block_%02d.sh", folder, n); next }
  /^```$/ { file = "" }
  file { print >file }' README.md
blocks=("$work"/block_*.sh)
((${#blocks[@]} >= 4)) || fail "README.md has ${#blocks[@]} bash blocks"

for block in "${blocks[@]}"; do
  ! grep -q '^mkdir build' "$block" || rm -r build # this block starts from an empty folder
  run bash -euo pipefail "$block"
  [[ $status == 0 ]] || { cat "$block" && fail "this block of README.md failed"; }
  ! grep -q 'run_tests.sh\|^ctest' "$block" || expect_output "ctest ran"
  # A prompt is printed, unless it is explained.
  while IFS= read -r prompt; do expect_output "$prompt"; done < <(sed -n '/--explain/!s/.*generate.*--prompt "\([^"]*\)".*/\1/p' "$block")
  ok "$(grep -c . "$block") lines from $(head -n 1 "$block")"
done

# The files that README.md lists as artifacts of a run exist.
artifacts=$(awk '/^Artifacts/ { list = 1 } /^## / { list = 0 } list' README.md | sed -n 's/^| `\([^`]*\)`.*/\1/p')
[[ $(wc -w <<<"$artifacts") -ge 5 ]] || fail "README.md lists fewer than 5 artifacts: $artifacts"
for file in $artifacts; do
  [[ -s $file ]] || fail "README.md lists $file, which does not exist or is empty"
done
for file in checkpoints/mine/{tokenizer.json,tokens.bin,latest.bin,metrics.jsonl}; do
  [[ -s $file ]] || fail "a named run did not write $file"
done
ok "the artifacts"

for file in page.html born.html; do
  grep -q '</html>' $file || fail "$file is not a page"
done
ok "the pages"
