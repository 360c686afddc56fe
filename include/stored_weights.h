// StoredWeights: the weights of a model on disk, of a checkpoint or of a Hugging Face folder.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "gpt_model.h"
#include "model_config.h"
#include "safetensors_file.h"

namespace hipgpt {

/// Weights by name, checked: every weight of a GPT of this config is there, finite, in F32, F16 or BF16.
/// Those of V rows may have more in the file, of which the first V count.
struct StoredWeights {
  std::string path;  ///< of the file or folder, for messages
  ModelConfig config;
  std::map<std::string, SafetensorsTensor> tensors;
  std::vector<SafetensorsFile> files;  ///< to which the tensors' bytes belong

  /// Copies them, as fp32, into a model of the same config.
  void load_into(GPTModel& model) const;
};

}  // namespace hipgpt
