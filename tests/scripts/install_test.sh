#!/usr/bin/env bash
# Installs a build somewhere, and builds and runs a stranger's program that finds it by find_package(hipgpt).
# Usage: install_test.sh BUILD_FOLDER CXX_COMPILER
set -euo pipefail

build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" >"$work/log"
for program in train_gpt generate; do
  "$work/prefix/bin/$program" --version
done

for notice in LICENSE THIRD_PARTY_NOTICES; do
  [[ -s $work/prefix/share/doc/hipgpt/$notice ]]
done

mkdir "$work/consumer"
cat >"$work/consumer/CMakeLists.txt" <<'TEXT'
cmake_minimum_required(VERSION 3.21)
project(consumer LANGUAGES CXX)
find_package(hipgpt REQUIRED)
add_executable(consumer consumer.cpp)
target_link_libraries(consumer PRIVATE hipgpt::hipgpt)
TEXT
cat >"$work/consumer/consumer.cpp" <<'TEXT'
#include <hipgpt/generator.h>
#include <hipgpt/tokenizer.h>

#include <cstdio>

int main() {
  const auto device = hipgpt::make_device("cpu", 1);
  const auto tokenizer = hipgpt::Tokenizer::train("to be or not to be", {.vocab_size = 260});
  hipgpt::ModelConfig config;
  config.vocab_size = tokenizer.vocab_size();
  hipgpt::GPTModel model(*device, config);
  hipgpt::initialize(model.weights(), config, *device, 1);
  hipgpt::Generator generator(model, tokenizer.encode("to be"), {});
  for (int i = 0; i < 40; ++i) generator.next();
  std::printf("%zu tokens\n", generator.tokens().size());
}
TEXT
cmake -S "$work/consumer" -B "$work/consumer/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CXX_COMPILER="$2" >>"$work/log"
cmake --build "$work/consumer/build" >>"$work/log"
"$work/consumer/build/consumer"
