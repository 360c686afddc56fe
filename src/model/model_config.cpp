#include "model_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "error.h"
#include "model/check_sizes.h"
#include "util/number_text.h"
#include "util/parameter.h"

namespace hipgpt {

namespace {

std::string field(const std::map<std::string, std::string>& metadata, const std::string& key,
                  const std::string& file) {
  const auto it = metadata.find(key);
  if (it == metadata.end())
    throw Error(fmt::format("{}: not a HipGPT checkpoint (no '{}' in its metadata)", file, key));
  return it->second;
}

int int_field(const std::map<std::string, std::string>& metadata, const std::string& key,
              const std::string& file) {
  const std::string text = field(metadata, key, file);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    throw Error(fmt::format("{}: metadata '{}' is '{}', not a whole number", file, key, text));
  }
  return value;
}

bool bool_field(const std::map<std::string, std::string>& metadata, const std::string& key,
                const std::string& file) {
  const std::string text = field(metadata, key, file);
  if (text != "true" && text != "false") {
    throw Error(fmt::format("{}: metadata '{}' is '{}', neither true nor false", file, key, text));
  }
  return text == "true";
}

std::string to_string(bool value) {
  return value ? "true" : "false";
}

}  // namespace

std::string to_string(Activation activation) {
  switch (activation) {
    case Activation::kNone: return "none";
    case Activation::kRelu: return "relu";
    case Activation::kGelu: return "gelu";
    case Activation::kGeluErf: return "gelu_erf";
  }
  return "?";
}

Activation activation_from_string(const std::string& name) {
  if (name == "relu") return Activation::kRelu;
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_erf") return Activation::kGeluErf;
  throw Error(fmt::format("activation '{}': must be relu, gelu or gelu_erf", name));
}

int64_t ModelConfig::parameter_count() const {
  const int64_t V = vocab_size, S = max_seq_len, E = embed_dim, L = num_layers, F = ff_hidden_dim;
  const int64_t embeddings = V * E + S * E;
  const int64_t layers = L * (4 * E * E + 2 * E * F + F + 9 * E);
  return embeddings + layers + (final_layernorm ? 2 * E : 0) + (tied_head ? 0 : E * V) + (head_bias ? V : 0);
}

void check_sizes(const ModelConfig& config, std::string (*name)(Parameter)) {
  const auto check = [&](Parameter parameter, const char* letter, int64_t value, int64_t largest) {
    if (value >= 1 && value <= largest) return;
    throw Error(fmt::format("{} {}: {} must be from 1 to {}", name(parameter), value, letter, largest));
  };
  check(Parameter::kVocabSize, "V", config.vocab_size, 1 << 24);
  check(Parameter::kMaxSeqLen, "S", config.max_seq_len, 1 << 20);
  check(Parameter::kEmbedDim, "E", config.embed_dim, 1 << 16);
  check(Parameter::kHeads, "H", config.num_heads, 1 << 12);
  check(Parameter::kNumLayers, "L", config.num_layers, 1 << 10);
  check(Parameter::kFfHiddenDim, "F", config.ff_hidden_dim, 1 << 20);
  if (config.embed_dim % config.num_heads != 0) {
    throw Error(fmt::format("{} {} is not divisible by {} {}: every head needs the same number of channels",
                            name(Parameter::kEmbedDim), config.embed_dim, name(Parameter::kHeads),
                            config.num_heads));
  }
}

void ModelConfig::validate() const {
  check_sizes(*this, [](Parameter parameter) { return std::string(name_of(parameter)); });
}

void ModelConfig::check_tokens(std::span<const int32_t> ids, const char* what) const {
  const auto V = static_cast<uint32_t>(vocab_size);
  uint32_t largest = 0;  // a negative id becomes a large one; without a branch, the loop vectorises
  for (const int32_t id : ids) largest = std::max(largest, static_cast<uint32_t>(id));
  if (ids.empty() || largest < V) return;
  const auto bad = std::ranges::find_if(ids, [&](int32_t id) { return static_cast<uint32_t>(id) >= V; });
  throw Error(
      fmt::format("{}: token {} at index {} is outside the model's vocabulary of {}; encode with the "
                  "tokenizer that the model was trained with",
                  what, *bad, bad - ids.begin(), counted(vocab_size, "token")));
}

ModelConfig ModelConfig::preset(const std::string& name) {
  if (name == "default") return ModelConfig{};
  if (name == "gpt2") {
    return ModelConfig{.vocab_size = 50257,
                       .max_seq_len = 1024,
                       .embed_dim = 768,
                       .num_heads = 12,
                       .num_layers = 12,
                       .ff_hidden_dim = 3072,
                       .activation = Activation::kGelu,
                       .final_layernorm = true,
                       .tied_head = true,
                       .head_bias = false};
  }
  throw Error(fmt::format("{} {}: must be default or gpt2", Parameter::kPreset, name));
}

ModelConfig ModelChoices::over(const ModelConfig& base) const {
  ModelConfig c = preset ? ModelConfig::preset(*preset) : base;
  c.vocab_size = base.vocab_size;
  c.max_seq_len = seq.value_or(c.max_seq_len);
  c.embed_dim = dim.value_or(c.embed_dim);
  c.num_heads = heads.value_or(c.num_heads);
  c.num_layers = layers.value_or(c.num_layers);
  c.ff_hidden_dim = ff.value_or(c.ff_hidden_dim);
  if (activation) c.activation = activation_from_string(*activation);
  c.final_layernorm = final_layernorm.value_or(c.final_layernorm);
  c.tied_head = tied_head.value_or(c.tied_head);
  c.head_bias = head_bias.value_or(c.head_bias);
  return c;
}

std::map<std::string, std::string> ModelConfig::to_metadata() const {
  return {{"vocab_size", std::to_string(vocab_size)},    {"max_seq_len", std::to_string(max_seq_len)},
          {"embed_dim", std::to_string(embed_dim)},      {"num_heads", std::to_string(num_heads)},
          {"num_layers", std::to_string(num_layers)},    {"ff_hidden_dim", std::to_string(ff_hidden_dim)},
          {"activation", hipgpt::to_string(activation)}, {"final_layernorm", to_string(final_layernorm)},
          {"tied_head", to_string(tied_head)},           {"head_bias", to_string(head_bias)}};
}

ModelConfig ModelConfig::from_metadata(const std::map<std::string, std::string>& metadata,
                                       const std::string& file) {
  ModelConfig config;
  config.vocab_size = int_field(metadata, "vocab_size", file);
  config.max_seq_len = int_field(metadata, "max_seq_len", file);
  config.embed_dim = int_field(metadata, "embed_dim", file);
  config.num_heads = int_field(metadata, "num_heads", file);
  config.num_layers = int_field(metadata, "num_layers", file);
  config.ff_hidden_dim = int_field(metadata, "ff_hidden_dim", file);
  config.final_layernorm = bool_field(metadata, "final_layernorm", file);
  config.tied_head = bool_field(metadata, "tied_head", file);
  config.head_bias = bool_field(metadata, "head_bias", file);
  try {
    config.activation = activation_from_string(field(metadata, "activation", file));
    config.validate();
  } catch (const Error& error) {
    throw Error(fmt::format("{}: invalid model in its metadata: {}", file, error.what()));
  }
  return config;
}

}  // namespace hipgpt
