// Models in the format of Hugging Face's transformers: a folder with config.json, weights and tokenizer.
// src/huggingface/README.md lists what is supported.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "stored_weights.h"
#include "tokenizer.h"

namespace hipgpt {

/// A GPT-2 and the tokenizer that goes with it.
struct HuggingFaceModel {
  StoredWeights weights;
  Tokenizer tokenizer;

  /// Reads a folder. The model gets the tokenizer's vocabulary size: some models pad their embeddings with
  /// rows that belong to no token, and these rows are dropped. `tokenizer_path` is a file to use instead of
  /// the folder's tokenizer, or empty. Throws Error if anything is missing, damaged or not supported by
  /// HipGPT.
  static HuggingFaceModel open(const std::string& folder, const std::string& tokenizer_path = "");
};

/// Whether neither the model nor its vocabulary has a token that ends a text.
bool lacks_end_of_text(const StoredWeights& weights, const Tokenizer& tokenizer);

/// What an export did besides writing the model.
struct ExportedFolder {
  std::optional<int32_t> added_end;  ///< the id of <|endoftext|>, if the export added it
  bool wrote_card;
};

/// Writes a folder that AutoModelForCausalLM and AutoTokenizer load by its name alone, with weights in fp32.
/// Throws Error, before it writes anything, if GPT2LMHeadModel cannot represent the model or if the folder
/// already has a model. Other files in the folder stay. `card`, unless it is empty, becomes README.md if the
/// folder has none.
///
/// Programs that evaluate or convert models need a token that ends a text. If neither the model nor the
/// vocabulary has one, the export adds <|endoftext|>, with the mean of all rows as its embedding.
ExportedFolder export_to_huggingface(const std::string& folder, const StoredWeights& weights,
                                     const Tokenizer& tokenizer, const std::string& card = "");

}  // namespace hipgpt
