// ModelConfig: the sizes and choices that define a GPT.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "operands.h"

namespace hipgpt {

/// The default is the README's model: 1,554,056 parameters at V=5000.
struct ModelConfig {
  int vocab_size = 5000;    ///< V
  int max_seq_len = 32;     ///< S
  int embed_dim = 128;      ///< E, divisible by H
  int num_heads = 4;        ///< H
  int num_layers = 2;       ///< L
  int ff_hidden_dim = 256;  ///< F
  Activation activation = Activation::kRelu;
  bool final_layernorm = false;  ///< LayerNorm between the last layer and the head
  bool tied_head = false;        ///< the head is the token embedding, transposed
  bool head_bias = true;

  bool operator==(const ModelConfig&) const = default;

  int head_dim() const { return embed_dim / num_heads; }

  /// V E + S E + L (4E^2 + 2EF + F + 9E), plus E V for an untied head, V for a head bias and 2E for a final
  /// LayerNorm.
  int64_t parameter_count() const;

  /// Throws Error, naming the size at fault, if the config is not valid.
  void validate() const;

  /// Throws Error unless every id is from 0 to V-1. Ids select rows of an embedding, so any other id would be
  /// an address outside it. TrainingPass, KVCache and Generator therefore check all ids, whatever their
  /// source. `what` names the ids in the message.
  void check_tokens(std::span<const int32_t> ids, const char* what) const;

  /// The preset "default" or "gpt2" (124,439,808 parameters). Throws Error for any other name.
  static ModelConfig preset(const std::string& name);

  /// Convert the config to string pairs for a checkpoint's metadata, and back. from_metadata() throws Error
  /// for a missing or malformed entry.
  std::map<std::string, std::string> to_metadata() const;
  static ModelConfig from_metadata(const std::map<std::string, std::string>& metadata,
                                   const std::string& file);
};

/// Sizes and choices that the user asked for.
struct ModelChoices {
  std::optional<std::string> preset;
  std::optional<int> seq, dim, heads, layers, ff;
  std::optional<std::string> activation;
  std::optional<bool> final_layernorm, tied_head, head_bias;

  /// Returns `base`, or the preset if one was chosen, with all other choices applied. The vocabulary size
  /// stays.
  ModelConfig over(const ModelConfig& base) const;
};

std::string to_string(Activation activation);
Activation activation_from_string(const std::string& name);

}  // namespace hipgpt
