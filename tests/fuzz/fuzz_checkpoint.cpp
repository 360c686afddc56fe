// A checkpoint and its optimizer file, which are safetensors files: an Error, or a model that can be asked
// for a token, and moments that can be trained with. Each input is read as it is and with its checksums put
// right.
#include <algorithm>
#include <array>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "checkpoint.h"
#include "fuzz_target.h"
#include "generator.h"

namespace hipgpt::fuzz {
namespace {

constexpr size_t kLengthBytes = 8, kDigits = 16;  // src/checkpoint/README.md

Device& device() {
  static const auto cpu = make_device("cpu", 1);
  return *cpu;
}

/// The place of the digits of a checksum in the head of a file, or npos.
size_t find_digits(std::string_view head, const char* key) {
  const std::string before = fmt::format("\"{}\":\"xxh3-64:", key);
  const size_t at = head.find(before);
  if (at == std::string_view::npos || at + before.size() + kDigits > head.size())
    return std::string_view::npos;
  return at + before.size();
}

std::string with_checksums(std::string bytes) {
  uint64_t length = 0;
  if (bytes.size() < kLengthBytes) return bytes;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  const size_t head_bytes = kLengthBytes + std::min<uint64_t>(length, bytes.size() - kLengthBytes);
  const std::string_view head = std::string_view(bytes).substr(0, head_bytes);
  const size_t of_data = find_digits(head, "checksum"), of_header = find_digits(head, "header_checksum");
  if (of_data == std::string::npos || of_header == std::string::npos) return bytes;
  const auto put = [&](size_t at, uint64_t hash) {
    bytes.replace(at, kDigits, fmt::format("{:016x}", hash));
  };
  put(of_data, XXH3_64bits(bytes.data() + head_bytes, bytes.size() - head_bytes));
  put(of_header, 0);
  put(of_header, XXH3_64bits(bytes.data(), head_bytes));
  return bytes;
}

void check_tensors(const SafetensorsFile& file) {
  unsigned sum = 0;  // touches every byte, so that a wrong address is noticed
  for (const SafetensorsTensor& tensor : file.tensors()) {
    require(file.find(tensor.name) == &tensor, "a tensor is found by its name");
    for (const std::byte byte : tensor.bytes) sum += static_cast<unsigned>(byte);
  }
  [[maybe_unused]] volatile unsigned keep = sum;
}

void check_model(const std::string& path) {
  const Checkpoint checkpoint = Checkpoint::open(path);
  GPTModel model(device(), checkpoint.info().config);
  checkpoint.weights().load_into(model);
  const std::array<int32_t, 1> prompt = {0};
  Generator generator(model, prompt, {});
  const int32_t token = generator.next();  // or an Error, where the logits are not finite
  require(token >= 0 && token < model.config().vocab_size, "the next token is in the vocabulary");
}

/// The optimizer file of the seeds is of this model.
ModelConfig seed_config() {
  return {.vocab_size = 256,
          .max_seq_len = 2,
          .embed_dim = 2,
          .num_heads = 1,
          .num_layers = 1,
          .ff_hidden_dim = 1,
          .activation = Activation::kRelu,
          .final_layernorm = false,
          .tied_head = true,
          .head_bias = false};
}

void check_optimizer(const std::string& path) {
  static const ParameterLayout layout(seed_config());
  const OptimizerFile file = OptimizerFile::open(path);
  require(file.info().flags == read_flags(path), "the flags can be read without the rest");
  OptimizerState state(device(), layout);
  file.load_into(state, device());
  require(state.step >= 0, "steps count up from 0");
}

void check(const std::string& bytes) {
  const MemoryFile file(bytes);
  const bool opened = succeeds([&] { check_tensors(SafetensorsFile::open(file.path())); });
  const bool model = succeeds([&] { check_model(file.path()); });
  const bool optimizer = succeeds([&] { check_optimizer(file.path()); });
  require(opened || (!model && !optimizer), "what is no safetensors file is no checkpoint");
  require(!model || !optimizer, "a file is a checkpoint or an optimizer's, not both");
}

}  // namespace
}  // namespace hipgpt::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(hipgpt::fuzz::as_text(data, size));
  hipgpt::fuzz::check(bytes);
  hipgpt::fuzz::check(hipgpt::fuzz::with_checksums(bytes));
  return 0;
}
