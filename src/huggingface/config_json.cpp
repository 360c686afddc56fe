#include "huggingface/config_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "checkpoint/token_roles_json.h"
#include "error.h"
#include "model/check_sizes.h"
#include "util/json.h"
#include "util/name_errors.h"

namespace hipgpt {

namespace {

using Json = JsonValue;

constexpr int kLargestSize = 1 << 24;  // of any dimension; four times this fits in an int

/// Maps GPT2Config's names to the activations of HipGPT. If two names share a formula, the first is written.
constexpr std::pair<const char*, Activation> kActivations[] = {
    {"gelu_new", Activation::kGelu},  {"gelu_pytorch_tanh", Activation::kGelu},
    {"gelu_fast", Activation::kGelu}, {"gelu_python_tanh", Activation::kGelu},
    {"gelu", Activation::kGeluErf},   {"gelu_accurate", Activation::kGelu},
    {"relu", Activation::kRelu},      {"gelu_python", Activation::kGeluErf}};

int size_member(const Json& config, const char* key) {
  const Json* found = config.find(key);
  if (found == nullptr) throw Error(fmt::format("\"{}\" is missing", key));
  const bool fits = found->is_count() && found->as_count() >= 1 && found->as_count() <= kLargestSize;
  if (!fits) {
    throw Error(fmt::format("\"{}\" is {}: it should be a whole number from 1 to {}", key, found->dump(),
                            kLargestSize));
  }
  return static_cast<int>(found->as_count());
}

/// Throws Error unless `key` is missing, null, or has this value.
void require(const Json& config, const char* key, const Json& only) {
  const Json& value = config[key];
  if (value.is_null() || value == only) return;
  throw Error(fmt::format("\"{}\" is {}, which HipGPT does not support: it should be {}", key, value.dump(),
                          only.dump()));
}

void require_gpt2(const Json& config) {
  if (config["model_type"] != "gpt2") {
    throw Error(fmt::format("\"model_type\" is {}: HipGPT reads \"gpt2\"", config["model_type"].dump()));
  }
  const Json& architectures = config["architectures"];
  const Json one[] = {Json(), Json::Array{"GPT2LMHeadModel"}, Json::Array{"GPT2Model"}};
  if (std::find(std::begin(one), std::end(one), architectures) == std::end(one)) {
    throw Error(fmt::format("\"architectures\" is {}: HipGPT reads [\"GPT2LMHeadModel\"] or [\"GPT2Model\"]",
                            architectures.dump()));
  }
  require(config, "is_encoder_decoder", false);
  require(config, "add_cross_attention", false);
  require(config, "scale_attn_weights", true);
  require(config, "scale_attn_by_inverse_layer_idx", false);
  require(config, "layer_norm_epsilon", 1e-5);
  require(config, "pruned_heads", Json::Object());
  require(config, "quantization_config", Json());
  // reorder_and_upcast_attn changes nothing in fp32, and the run chooses its own dropout.
}

Activation activation_of(const Json& config) {
  const Json* given = config.find("activation_function");
  const Json name = given ? *given : "gelu_new";
  for (const auto& [known, activation] : kActivations) {
    if (name == known) return activation;
  }
  throw Error(fmt::format(
      "\"activation_function\" is {}: HipGPT has \"gelu_new\" (and its other names), \"gelu\" and \"relu\"",
      name.dump()));
}

bool tied_head_of(const Json& config) {
  const Json* tied = config.find("tie_word_embeddings");
  if (tied == nullptr) return true;
  if (!tied->is_bool())
    throw Error(fmt::format("\"tie_word_embeddings\" is {}: it should be true or false", tied->dump()));
  return tied->as_bool();
}

std::string name_in_config(Parameter parameter) {
  switch (parameter) {
    case Parameter::kVocabSize: return "\"vocab_size\"";
    case Parameter::kMaxSeqLen: return "\"n_positions\"";
    case Parameter::kEmbedDim: return "\"n_embd\"";
    case Parameter::kHeads: return "\"n_head\"";
    case Parameter::kNumLayers: return "\"n_layer\"";
    default: return "\"n_inner\"";  // or, without it, four times n_embd
  }
}

ModelConfig to_model_config(const Json& json) {
  require_gpt2(json);
  ModelConfig config;
  config.vocab_size = size_member(json, "vocab_size");
  config.max_seq_len = size_member(json, "n_positions");
  config.embed_dim = size_member(json, "n_embd");
  config.num_heads = size_member(json, "n_head");
  config.num_layers = size_member(json, "n_layer");
  const bool has_ff = !json["n_inner"].is_null();
  config.ff_hidden_dim = has_ff ? size_member(json, "n_inner") : 4 * config.embed_dim;
  config.activation = activation_of(json);
  config.final_layernorm = true;
  config.tied_head = tied_head_of(json);
  config.head_bias = false;
  check_sizes(config, name_in_config);
  return config;
}

}  // namespace

ModelConfig read_model_config(const std::string& path) {
  const Json json = read_json_object(path);
  return name_errors(path, [&] { return to_model_config(json); });
}

void check_exportable(const ModelConfig& config, const std::string& path) {
  if (config.final_layernorm && !config.head_bias) return;
  const auto asked = [](bool missing, Parameter parameter, const char* value) {
    return missing ? fmt::format(" {} {}", parameter, value) : std::string();
  };
  throw Error(
      fmt::format("{}: Hugging Face's GPT-2 has a LayerNorm before the head and no bias in it; "
                  "a model trained with{}{} can be exported",
                  path, asked(!config.final_layernorm, Parameter::kFinalLayernorm, "true"),
                  asked(config.head_bias, Parameter::kHeadBias, "false")));
}

std::string config_json(const ModelConfig& c, const TokenRoles& roles) {
  const auto is_ours = [&](const auto& known) { return known.second == c.activation; };
  Json json = {{"architectures", Json::Array{"GPT2LMHeadModel"}},
               {"model_type", "gpt2"},
               {"vocab_size", c.vocab_size},
               {"n_positions", c.max_seq_len},
               {"n_ctx", c.max_seq_len},  // an older name for n_positions, which llama.cpp's converter reads
               {"n_embd", c.embed_dim},
               {"n_head", c.num_heads},
               {"n_layer", c.num_layers},
               {"n_inner", c.ff_hidden_dim},
               {"activation_function", std::ranges::find_if(kActivations, is_ours)->first},
               {"layer_norm_epsilon", 1e-5},
               {"tie_word_embeddings", c.tied_head},
               {"bos_token_id", Json()},  // without a value, transformers assumes GPT-2's
               {"eos_token_id", Json()},
               {"dtype", "float32"}};
  set_token_roles(json, roles);
  return json.dump(2) + "\n";
}

}  // namespace hipgpt
