// Fuzzes a checkpoint and its optimizer file, which are safetensors files. The result is an Error, or a model
// that generates a token and moments that training can use. Each input is read unchanged and with corrected
// checksums.
#include <array>

#include "checkpoint.h"
#include "checksums.h"
#include "fuzz_target.h"
#include "generator.h"

namespace hipgpt::fuzz {
namespace {

Device& device() {
  static const auto cpu = make_device("cpu", 1);
  return *cpu;
}

void check_tensors(const SafetensorsFile& file) {
  unsigned sum = 0;  // reads every byte, so that a wrong address is detected
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
  const int32_t token = generator.next();  // throws an Error if the logits are not finite
  require(token >= 0 && token < model.config().vocab_size, "the next token is in the vocabulary");
}

/// The model that the seeds' optimizer file belongs to.
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
  const OptimizerFile file = OptimizerFile::open(path);
  require(file.info().flags == read_flags(path), "the flags can be read without the rest");
  const GPTWeights values(device(), seed_config());
  for (const Moment moment : kMoments) file.load(moment, values, device());
  require(file.info().step >= 0, "a step is 0 or more");
}

void check(const std::string& bytes) {
  const MemoryFile file(bytes);
  const bool opened = succeeds([&] { check_tensors(SafetensorsFile::open(file.path())); });
  const bool model = succeeds([&] { check_model(file.path()); });
  const bool optimizer = succeeds([&] { check_optimizer(file.path()); });
  require(opened || (!model && !optimizer), "a file that is not safetensors is not a checkpoint");
  require(!model || !optimizer, "a file is a checkpoint or an optimizer file, not both");
}

}  // namespace
}  // namespace hipgpt::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(hipgpt::fuzz::as_text(data, size));
  hipgpt::fuzz::check(bytes);
  hipgpt::fuzz::check(hipgpt::fuzz::with_safetensors_checksums(bytes));
  return 0;
}
