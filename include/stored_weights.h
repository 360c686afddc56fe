// StoredWeights: the weights of a model on disk, in a checkpoint or a Hugging Face folder.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "gpt_model.h"
#include "model_config.h"
#include "safetensors_file.h"
#include "token_roles.h"

namespace hipgpt {

/// Checked weights by name: every weight of a GPT with this config is present, finite, and in F32, F16 or
/// BF16. A tensor of V or S rows may have more rows in the file; only the first V or S are used.
struct StoredWeights {
  std::string path;  ///< path of the file or folder, for messages
  ModelConfig config;
  std::map<std::string, SafetensorsTensor> tensors;
  std::vector<SafetensorsFile> files;   ///< the files that own the tensors' bytes
  TokenRoles roles;                     ///< as far as the model names them
  std::string tokenizer_settings = {};  ///< JSON: those of tokenizer_config.json that an export keeps, or ""

  /// Copies the weights, as fp32, into a model with the same config.
  void load_into(GPTModel& model) const;

  /// A model that generates. It computes in `dtype` (fp32 or bf16) and stores the matrices of its products in
  /// `format` (choose_weights()). Where the device can read them as they lie in the files, they are not copied.
  /// Elsewhere, if they are narrower than fp32, LayerNorms are folded into the layers after them.
  GPTModel model(Device& device, DType dtype, DType format) const;
};

}  // namespace hipgpt
