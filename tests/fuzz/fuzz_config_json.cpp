// Fuzzes Hugging Face's config.json. The result is an Error, or a valid model that comes back unchanged from
// the config.json that HipGPT writes for it.
#include "fuzz_target.h"
#include "huggingface/config_json.h"

namespace hipgpt::fuzz {
namespace {

void check(std::string_view bytes) {
  const MemoryFile file(bytes);
  ModelConfig config;
  if (!succeeds([&] { config = read_model_config(file.path()); })) return;
  require(succeeds([&] { config.validate(); }), "a model that is read is valid");
  if (!succeeds([&] { check_exportable(config, "folder"); })) return;
  const MemoryFile written(config_json(config, {}));
  require(read_model_config(written.path()) == config, "a model comes back from its own config.json");
}

}  // namespace
}  // namespace hipgpt::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hipgpt::fuzz::check(hipgpt::fuzz::as_text(data, size));
  return 0;
}
