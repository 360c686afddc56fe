// Models in the format of Hugging Face's transformers: a folder with config.json, weights and tokenizer.
// src/huggingface/README.md lists what is supported.
#pragma once

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

/// Writes a folder that AutoModelForCausalLM and AutoTokenizer load by its name alone, with weights in fp32.
/// Throws Error, before it writes anything, if GPT2LMHeadModel cannot represent the model or if the folder
/// already has a model. Other files in the folder stay.
void export_to_huggingface(const std::string& folder, const StoredWeights& weights,
                           const Tokenizer& tokenizer);

}  // namespace hipgpt
