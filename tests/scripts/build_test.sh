#!/usr/bin/env bash
# What a build gives: programs that are hardened and name no folder of the machine they were built on, and the same bytes in
# another folder.
# Usage: build_test.sh SOURCE_FOLDER BUILD_FOLDER CXX_COMPILER
# Exit status 77: there is no readelf or make here.
set -euo pipefail

source=$1 build=$2 compiler=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "FAILED: $1" >&2
  exit 1
}
for tool in readelf make; do
  command -v $tool >/dev/null || { echo "skipped: no $tool here" && exit 77; }
done
build_type=$(sed -n 's/^CMAKE_BUILD_TYPE:.*=//p' "$build/CMakeCache.txt")

# expect PATTERN FILE WORDS: a line of the file matches.
expect() { grep -qE -- "$1" "$2" || fail "$3"; }

for program in train_gpt generate; do
  for part in file-header program-headers dynamic dyn-syms; do
    readelf --wide "--$part" "$build/$program" >"$work/$part"
  done
  expect 'Type: +DYN' "$work/file-header" "$program is no position-independent executable"
  expect 'GNU_RELRO' "$work/program-headers" "$program: no read-only relocations"
  expect 'GNU_STACK .* RW +0x' "$work/program-headers" "$program: an executable stack"
  expect 'BIND_NOW|FLAGS_1.* NOW' "$work/dynamic" "$program: its functions are looked up late"
  expect '__stack_chk_fail' "$work/dyn-syms" "$program: no canaries on the stack"
  [[ $build_type == Debug ]] || expect '__[a-z]+_chk@' "$work/dyn-syms" "$program: no checked functions of libc"
  # An entry that is empty or relative is searched for libraries in the working folder.
  runpath=$(sed -nE 's/.*\((RPATH|RUNPATH)\).*\[(.*)\]/\2/p' "$work/dynamic")
  if [[ -n $runpath ]]; then
    while IFS= read -r -d : entry; do
      [[ $entry == /* ]] || fail "$program: looks for libraries in '$entry', of $runpath"
    done <<<"$runpath:"
  fi
done
echo "ok: the programs are hardened"

for file in train_gpt generate libhipgpt.a; do
  for folder in "$source" "$build"; do
    ! grep -qaF -- "$folder" "$build/$file" || fail "$file names the folder $folder"
  done
done
echo "ok: no folders in the programs and the library"

# The same objects twice: a few of the library, with debug information, which is where folders would be.
objects=(src/util/utf8_stream.cpp.o src/cpu/thread_pool.cpp.o src/tokenizer/byte_alphabet.cpp.o)
unset CMAKE_GENERATOR CMAKE_CXX_COMPILER_LAUNCHER
for folder in "$work/one" "$work/another/deeper"; do
  mkdir -p "$folder"
  cp -R "$source"/{CMakeLists.txt,LICENSE,README.md,include,src,scripts} "$folder"
  configuration=(-G "Unix Makefiles" -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_CXX_COMPILER=$compiler" -DHIPGPT_TESTS=OFF
    -DHIPGPT_HIP_PLATFORM=none)
  # Libraries that the build had to download are taken from there.
  [[ ! -d $build/_deps ]] || configuration+=(-DFETCHCONTENT_FULLY_DISCONNECTED=ON "-DFETCHCONTENT_BASE_DIR=$build/_deps")
  cmake -S "$folder" -B "$folder/build" "${configuration[@]}" >"$work/log" 2>&1 || { cat "$work/log" >&2 && fail "configure"; }
  grep -q ' qcD ' "$folder/build/CMakeFiles/hipgpt.dir/link.txt" || fail "libhipgpt.a has times in it"
  make -C "$folder/build" -f CMakeFiles/hipgpt_core.dir/build.make "${objects[@]/#/CMakeFiles/hipgpt_core.dir/}" \
    >"$work/log" 2>&1 || { cat "$work/log" >&2 && fail "compile"; }
done
for object in "${objects[@]}"; do
  cmp "$work"/{one,another/deeper}/build/CMakeFiles/hipgpt_core.dir/"$object" || fail "$object differs from folder to folder"
  ! grep -qaF -- "$work" "$work/one/build/CMakeFiles/hipgpt_core.dir/$object" || fail "$object names its folder"
done
echo "ok: the same bytes in another folder"
