#!/usr/bin/env bash
# Installs a build into a temporary folder, then builds and runs a separate program that finds it with find_package(hipgpt).
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

share=$work/prefix/share
for file in man/man1/{train_gpt,generate}.1 bash-completion/completions/{train_gpt,generate} \
  zsh/site-functions/_{train_gpt,generate} fish/vendor_completions.d/{train_gpt,generate}.fish; do
  [[ -s $share/$file ]] || { echo "$file is not installed" && exit 1; }
done
[[ $(<"$share/bash-completion/completions/generate") == "$("$work/prefix/bin/generate" --completions bash)" ]]
[[ $(<"$share/man/man1/generate.1") == "$("$work/prefix/bin/generate" --man)" ]]

mkdir "$work/consumer"
cat >"$work/consumer/CMakeLists.txt" <<'TEXT'
cmake_minimum_required(VERSION 3.21)
project(consumer LANGUAGES CXX)
find_package(hipgpt REQUIRED)
add_executable(consumer consumer.cpp)
target_link_libraries(consumer PRIVATE hipgpt::hipgpt)
TEXT
cat >"$work/consumer/consumer.cpp" <<'TEXT'
// Trains a model, saves it, loads it into another and generates, using only public headers.
#include <hipgpt/checkpoint.h>
#include <hipgpt/generator.h>
#include <hipgpt/token_file.h>
#include <hipgpt/tokenizer.h>
#include <hipgpt/trainer.h>

#include <cstdio>
#include <string>

using namespace hipgpt;

int main() try {
  const auto device = make_device("cpu", 1);
  std::string text;
  for (int i = 0; i < 50; ++i) text += "to be or not to be, that is the question; ";
  const Tokenizer tokenizer = Tokenizer::train(text, {.vocab_size = 280});
  TokenFileWriter writer("tokens.bin", static_cast<uint64_t>(tokenizer.vocab_size()), tokenizer.hash(), 1, text.size());
  writer.append(tokenizer.encode(text));
  writer.commit();
  const TokenFile tokens = TokenFile::open("tokens.bin");

  ModelConfig config;
  config.vocab_size = tokenizer.vocab_size();
  config.max_seq_len = 16;
  config.embed_dim = 32;
  GPTModel model(*device, config);
  initialize(model, 1);
  const DataLoader data(tokens, 0, tokens.size(), 8, config.max_seq_len, 1);
  Trainer trainer(model, data, {.batch = 8, .steps = 150, .warmup_steps = 10, .learning_rate = 1e-2f});
  while (trainer.step() < 150) trainer.train_step();
  const double loss = trainer.last_step().loss;
  save_checkpoint("gpt_checkpoint.bin", model, {config, tokenizer.hash(), trainer.step()});

  GPTModel loaded(*device, config);
  Checkpoint::open("gpt_checkpoint.bin").weights().load_into(loaded);
  Generator generator(loaded, tokenizer.encode("to be or"), {.temperature = 0.0});
  for (int i = 0; i < 10; ++i) generator.next();
  const std::string continued = tokenizer.decode(generator.tokens());
  std::printf("loss %.3f: %s\n", loss, continued.c_str());
  if (!(loss < 0.5) || continued.rfind("to be or not to be, that", 0) != 0) return 2;

  // Every invalid call throws an Error.
  int errors = 0;
  const auto expect_error = [&](auto call) {
    try {
      call();
    } catch (const Error& error) {
      std::printf("%s\n", error.what());
      ++errors;
    }
  };
  TrainingPass pass(model, 2, config.max_seq_len);
  GPTWeights gradients(*device, config);
  const std::vector<int32_t> ids(48, 1), bad(16, 10000);
  expect_error([&] { pass.compute_loss_and_gradients(gradients, 1.0f, {}); });  // no batch yet
  expect_error([&] { pass.loss(ids, ids); });                                   // three sequences where two fit
  expect_error([&] { pass.loss(bad, bad); });                                   // not a token
  expect_error([&] { TrainingPass(model, 2, config.max_seq_len + 1); });
  expect_error([&] { KVCache(model).append(); });
  expect_error([&] { KVCache(model).logits(); });
  expect_error([&] { Generator(model, Sampling{}, 2).next(); });
  expect_error([&] { device->layernorm(model.weights().wte, {}, model.weights().wpe, {}); });
  return errors == 8 ? 0 : 3;
} catch (const std::exception& error) {
  std::fprintf(stderr, "consumer: %s\n", error.what());
  return 1;
}
TEXT

# Every public header compiles by itself, with only the installed headers. Headers of kernels are skipped: they need a GPU
# runtime.
headers=()
for header in "$work"/prefix/include/hipgpt/*.h; do
  name=$(basename "$header")
  if grep -q 'include <hip/' "$header"; then continue; fi
  printf '#include <hipgpt/%s>\n#include <hipgpt/%s>\n' "$name" "$name" >"$work/consumer/alone_${name%.h}.cpp"
  headers+=("alone_${name%.h}.cpp")
done
printf 'add_library(alone OBJECT %s)\ntarget_link_libraries(alone PRIVATE hipgpt::hipgpt)\n' "${headers[*]}" \
  >>"$work/consumer/CMakeLists.txt"

cmake -S "$work/consumer" -B "$work/consumer/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CXX_COMPILER="$2" >>"$work/log"
cmake --build "$work/consumer/build" --parallel 2 >>"$work/log"
cd "$work" && ./consumer/build/consumer
