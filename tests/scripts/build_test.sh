#!/usr/bin/env bash
# Tests a build: the programs are hardened, name no folder of the build machine and run on an old processor (where QEMU's user
# mode is installed), and a build in another folder gives the same bytes.
# Usage: build_test.sh SOURCE_FOLDER BUILD_FOLDER CXX_COMPILER.
# Exits with status 77 (skipped) without readelf or make.
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

# expect PATTERN FILE MESSAGE: fails with the message unless a line of the file matches.
expect() { grep -qE -- "$1" "$2" || fail "$3"; }

for program in train_gpt generate; do
  for part in file-header program-headers dynamic dyn-syms; do
    readelf --wide "--$part" "$build/$program" >"$work/$part"
  done
  expect 'Type: +DYN' "$work/file-header" "$program is not a position-independent executable"
  expect 'GNU_RELRO' "$work/program-headers" "$program: its relocations are not read-only"
  expect 'GNU_STACK .* RW +0x' "$work/program-headers" "$program: its stack is executable"
  expect 'BIND_NOW|FLAGS_1.* NOW' "$work/dynamic" "$program: its functions are bound lazily"
  expect '__stack_chk_fail' "$work/dyn-syms" "$program: its stack has no canaries"
  [[ $build_type == Debug ]] || expect '__[a-z]+_chk@' "$work/dyn-syms" "$program: it does not call the checked functions of libc"
  # With an empty or relative entry, the loader searches for libraries in the working folder.
  runpath=$(sed -nE 's/.*\((RPATH|RUNPATH)\).*\[(.*)\]/\2/p' "$work/dynamic")
  if [[ -n $runpath ]]; then
    while IFS= read -r -d : entry; do
      [[ $entry == /* ]] || fail "$program: searches for libraries in '$entry', an entry of $runpath"
    done <<<"$runpath:"
  fi
done
echo "ok: the programs are hardened"

for file in train_gpt generate libhipgpt.a; do
  for folder in "$source" "$build"; do
    ! grep -qaF -- "$folder" "$build/$file" || fail "$file names the folder $folder"
  done
done
echo "ok: the programs and the library name no folders"

# Loops for newer instruction sets are chosen when a program runs, so it also runs on an x86-64 processor without AVX.
if [[ $(uname -m) == x86_64 ]] && command -v qemu-x86_64-static >/dev/null; then
  (cd "$work" && old=(qemu-x86_64-static -cpu Nehalem) &&
    "${old[@]}" "$build/train_gpt" --data-path "$source/README.md" --vocab-size 300 --dim 16 --heads 2 --layers 1 --ff 16 --seq 16 \
      --batch 2 --steps 2 --eval-batches 1 && "${old[@]}" "$build/generate" --prompt "a" --num-tokens 2) >"$work/log" 2>&1 ||
    { cat "$work/log" >&2 && fail "the programs do not run on a processor without AVX"; }
  echo "ok: a processor without AVX"
fi

# Compiles a few objects of the library twice, with debug information, because that would contain folders.
objects=(src/util/utf8_stream.cpp.o src/cpu/thread_pool.cpp.o src/tokenizer/byte_alphabet.cpp.o)
unset CMAKE_GENERATOR CMAKE_CXX_COMPILER_LAUNCHER
for folder in "$work/one" "$work/another/deeper"; do
  mkdir -p "$folder"
  cp -R "$source"/{CMakeLists.txt,LICENSE,README.md,include,src,scripts} "$folder"
  configuration=(-G "Unix Makefiles" -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_CXX_COMPILER=$compiler" -DHIPGPT_TESTS=OFF
    -DHIPGPT_HIP_PLATFORM=none -DHIPGPT_PRECOMPILE_HEADERS=OFF)
  # Reuses the libraries that the build downloaded.
  [[ ! -d $build/_deps ]] || configuration+=(-DFETCHCONTENT_FULLY_DISCONNECTED=ON "-DFETCHCONTENT_BASE_DIR=$build/_deps")
  cmake -S "$folder" -B "$folder/build" "${configuration[@]}" >"$work/log" 2>&1 || { cat "$work/log" >&2 && fail "cmake could not configure the copy"; }
  grep -q ' qcD ' "$folder/build/CMakeFiles/hipgpt.dir/link.txt" || fail "libhipgpt.a would contain times: ar is not called with D"
  make -C "$folder/build" -f CMakeFiles/hipgpt_core.dir/build.make "${objects[@]/#/CMakeFiles/hipgpt_core.dir/}" \
    >"$work/log" 2>&1 || { cat "$work/log" >&2 && fail "make could not compile the copy"; }
done
for object in "${objects[@]}"; do
  cmp "$work"/{one,another/deeper}/build/CMakeFiles/hipgpt_core.dir/"$object" || fail "$object differs from folder to folder"
  ! grep -qaF -- "$work" "$work/one/build/CMakeFiles/hipgpt_core.dir/$object" || fail "$object names the folder it was compiled in"
done
echo "ok: the same bytes in another folder"
