// Writes a model to a folder.
#include <fmt/format.h>

#include <deque>
#include <filesystem>

#include "checkpoint/float_values.h"
#include "checkpoint/token_roles_json.h"
#include "error.h"
#include "huggingface.h"
#include "huggingface/config_json.h"
#include "util/atomic_file.h"
#include "util/files.h"
#include "util/json.h"
#include "util/name_errors.h"

namespace hipgpt {

namespace fs = std::filesystem;

namespace {

/// Presents the weights as the file needs them: fp32, without rows beyond the vocabulary. It refers to the
/// stored bytes directly unless they need conversion. The matrices with a row for each token, [V,E], get the
/// mean row for one more, if `added_token`: as an input it is neutral, and as an output it is never likely.
class ExportedTensors {
 public:
  ExportedTensors(const StoredWeights& weights, bool added_token) {
    GPTWeights(weights.config).for_each([&](const std::string& name, const Tensor& tensor, bool) {
      const SafetensorsTensor& stored = weights.tensors.at(name);
      const auto size = static_cast<size_t>(tensor.size());
      std::vector<int64_t> shape = tensor.shape();
      std::span<const std::byte> bytes =
          stored.bytes.first(std::min(stored.bytes.size(), size * sizeof(float)));
      const bool grows = added_token && (name == "transformer.wte.weight" || name == "lm_head.weight");
      if (grows || stored.dtype != "F32") {
        std::vector<float>& values = converted_.emplace_back(size);
        read_floats(values, stored);
        if (grows) {
          append_mean_row(values, static_cast<size_t>(shape[1]));
          ++shape[0];
        }
        bytes = std::as_bytes(std::span(values));
      }
      tensors_.push_back({name, "F32", {shape.begin(), shape.end()}, bytes});
    });
  }

  std::span<const SafetensorsTensor> all() const { return tensors_; }

 private:
  static void append_mean_row(std::vector<float>& values, size_t width) {
    std::vector<double> sums(width, 0.0);
    for (size_t i = 0; i < values.size(); ++i) sums[i % width] += values[i];
    const double rows = static_cast<double>(values.size()) / static_cast<double>(width);
    for (const double sum : sums) values.push_back(static_cast<float>(sum / rows));
  }

  std::deque<std::vector<float>> converted_;
  std::vector<SafetensorsTensor> tensors_;
};

using Files = std::vector<std::pair<std::string, std::string>>;

std::string text_of(const JsonValue& json) {
  return json.dump(2) + "\n";
}

/// Returns the names and texts of all files except the weights. config.json comes last because only a folder
/// with it counts as a model.
Files small_files(const StoredWeights& weights, const Tokenizer& tokenizer) {
  ModelConfig config = weights.config;
  config.vocab_size = tokenizer.vocab_size();
  const TokenRoles roles = weights.roles.complete(tokenizer);
  JsonValue tokenizer_config = JsonValue::Object();
  if (!weights.tokenizer_settings.empty()) {
    tokenizer_config = name_errors(weights.path, [&] { return parse_json(weights.tokenizer_settings); });
  }
  if (!tokenizer_config.find("clean_up_tokenization_spaces"))
    tokenizer_config.set("clean_up_tokenization_spaces", false);
  tokenizer_config.set("tokenizer_class", "PreTrainedTokenizerFast");
  tokenizer_config.set("model_max_length", config.max_seq_len);
  JsonValue generation_config = JsonValue::Object();
  const auto name_token = [&](const char* key, std::optional<int32_t> id) {
    // transformers makes a token that is named here special, which may change the ids of texts.
    if (id && tokenizer.is_marked_special(*id)) tokenizer_config.set(key, tokenizer.token_bytes(*id));
  };
  name_token("bos_token", roles.begin);
  name_token("eos_token", roles.end.empty() ? std::nullopt : std::optional(roles.end.front()));
  name_token("unk_token", tokenizer.special_token(kEndOfText));
  name_token("pad_token", roles.pad);
  set_token_roles(generation_config, roles);
  Files files;
  if (const auto gpt2_files = tokenizer.to_gpt2_files())
    files = {{"vocab.json", gpt2_files->vocab}, {"merges.txt", gpt2_files->merges}};
  files.insert(files.end(), {{"tokenizer.json", tokenizer.to_json()},
                             {"tokenizer_config.json", text_of(tokenizer_config)},
                             {"generation_config.json", text_of(generation_config)},
                             {"config.json", config_json(config, roles)}});
  return files;
}

void require_free(const fs::path& folder, const std::string& name) {
  std::error_code ignored;
  if (fs::symlink_status(folder / name, ignored).type() == fs::file_type::not_found) return;
  throw Error(fmt::format("{}: already contains {}; name another folder or remove the model in this one",
                          folder.string(), name));
}

void make_folder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error && !is_folder(folder)) error = std::make_error_code(std::errc::not_a_directory);
  if (error) throw Error(fmt::format("{}: cannot create the folder ({})", folder, error.message()));
}

}  // namespace

bool lacks_end_of_text(const StoredWeights& weights, const Tokenizer& tokenizer) {
  return weights.roles.complete(tokenizer).end.empty();
}

ExportedFolder export_to_huggingface(const std::string& folder, const StoredWeights& weights,
                                     const Tokenizer& tokenizer, const std::string& card) {
  check_exportable(weights.config, weights.path);
  const bool adds_end = lacks_end_of_text(weights, tokenizer);
  const Tokenizer exported = adds_end ? tokenizer.with_special_token(std::string(kEndOfText)) : tokenizer;
  const ExportedTensors tensors(weights, exported.vocab_size() > tokenizer.vocab_size());
  const Files files = small_files(weights, exported);
  make_folder(folder);
  for (const char* name : {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"})
    require_free(folder, name);
  for (const auto& [name, text] : files) require_free(folder, name);

  write_safetensors((fs::path(folder) / "model.safetensors").string(), tensors.all(), {});
  for (const auto& [name, text] : files) write_file_atomically((fs::path(folder) / name).string(), text);
  const std::string card_path = (fs::path(folder) / "README.md").string();
  const bool writes_card = !card.empty() && !file_exists(card_path);
  if (writes_card) write_file_atomically(card_path, card);
  return {.added_end = adds_end ? exported.special_token(kEndOfText) : std::nullopt,
          .wrote_card = writes_card};
}

}  // namespace hipgpt
