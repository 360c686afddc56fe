// Models as Hugging Face's transformers keeps them: a folder with config.json, weights and tokenizer.
// src/huggingface/README.md says what of it is understood.
#pragma once

#include <string>

#include "stored_weights.h"
#include "tokenizer.h"

namespace hipgpt {

/// A GPT-2 and the tokenizer that goes with it.
struct HuggingFaceModel {
  StoredWeights weights;
  Tokenizer tokenizer;

  /// Reads a folder. The model's vocabulary is the tokenizer's: rows of the embeddings beyond it, with which
  /// some models are padded, belong to no token and are left out. `tokenizer_path` is a file to use instead
  /// of the folder's tokenizer, or empty. Error for what is missing, damaged, or says something that HipGPT
  /// does not do.
  static HuggingFaceModel open(const std::string& folder, const std::string& tokenizer_path = "");
};

/// Writes a folder that AutoModelForCausalLM and AutoTokenizer load by its name alone, with weights in fp32.
/// Error, before anything is written, if the model is not one that GPT2LMHeadModel can be, or the folder has
/// a model already. Other files in it stay.
void export_to_huggingface(const std::string& folder, const StoredWeights& weights,
                           const Tokenizer& tokenizer);

}  // namespace hipgpt
