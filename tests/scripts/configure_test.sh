#!/usr/bin/env bash
# Tests what CMake says about wrong settings of a build, and which GPUs the settings of other projects choose. hipcc is fake.
# Usage: configure_test.sh SOURCE_FOLDER BUILD_FOLDER.
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

source=$1 build=$2
rocm=$work/rocm
mkdir -p "$rocm/bin" "$rocm/lib"
: >"$rocm/lib/libamdhip64.so"
printf '%s\n' '#!/usr/bin/env bash' '[[ $* != *gfx9999* ]] || exit 1' 'echo "HIP version: 6.1"' >"$rocm/bin/hipcc"
chmod +x "$rocm/bin/hipcc"
unset CMAKE_GENERATOR HIP_PATH
export ROCM_PATH=$rocm

# configure [OPTION]...: configures without the settings of the last time, from which it keeps only what CMake found out about the
# compiler. Joins the lines of each message, which CMake breaks.
configure() {
  local options=(-DHIPGPT_TESTS=OFF)
  # Reuses the libraries that the build downloaded.
  [[ ! -d $build/_deps ]] || options+=(-DFETCHCONTENT_FULLY_DISCONNECTED=ON "-DFETCHCONTENT_BASE_DIR=$build/_deps")
  rm -f "$work/configured/CMakeCache.txt"
  run cmake -S "$source" -B "$work/configured" "${options[@]}" "$@"
  output=$(tr -s ' \n' ' ' <<<"$output")
}

for variable in HIPGPT_HIP_ARCHITECTURES CMAKE_HIP_ARCHITECTURES AMDGPU_TARGETS GPU_TARGETS; do
  configure "-D$variable=gfx90a;gfx908:xnack-"
  expect_status 0 && expect_output "HIP platform: amd (hipcc 6.1, by $variable), gfx90a gfx908:xnack-"
  configure "-D$variable=gfx90a,gfx906"
  expect_status 1 && expect_output "$variable: 'gfx90a,gfx906' is not a GPU; give a list"
done
configure -DHIPGPT_HIP_ARCHITECTURES=gfx1030 -DGPU_TARGETS=gfx906
expect_status 0 && expect_output "by HIPGPT_HIP_ARCHITECTURES), gfx1030"
configure -DHIPGPT_HIP_PLATFORM=none -DAMDGPU_TARGETS=gfx906
expect_status 0 && expect_output "HIP platform: none"
ok "the GPUs to compile for, under each of their names"

for list in gfx9999 "gfx90a;gfx9999"; do
  configure "-DHIPGPT_HIP_ARCHITECTURES=$list"
  expect_status 1 && expect_output "HIPGPT_HIP_ARCHITECTURES: hipcc 6.1 does not know 'gfx9999'"
done
configure "-DHIPGPT_HIP_ARCHITECTURES=gfx90a;sm_80"
expect_status 1 && expect_output "name one kind"
configure -DHIPGPT_HIP_PLATFORM=amd -DHIPGPT_HIP_ARCHITECTURES=sm_80
expect_status 1 && expect_output "the platform amd has no such GPUs"
ok "architectures that cannot be compiled for"

for variable in ROCM_PATH HIP_PATH; do
  export "$variable=/nonexistent"
  configure -DHIPGPT_HIP_PLATFORM=amd
  expect_status 1 && expect_output "$variable=/nonexistent has no bin/hipcc; correct or unset it"
  configure -DHIPGPT_HIP_PLATFORM=none
  expect_status 0 && reject_output "$variable"
  configure
  [[ $output == *"HIP platform: nvidia"* ]] || expect_output "$variable=/nonexistent has no bin/hipcc"
  ROCM_PATH=$rocm
done
unset HIP_PATH
ok "a variable that names no ROCm"

configure -DBUILD_SHARED_LIBS=ON
expect_status 1 && expect_output "BUILD_SHARED_LIBS: HipGPT has no shared library"
ok "a shared library"
