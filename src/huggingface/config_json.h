// Converts between config.json (Hugging Face's GPT2Config) and ModelConfig.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model_config.h"

namespace hipgpt {

/// Throws Error for a missing value and for any setting that would make the model compute something else
/// here.
ModelConfig read_model_config(const std::string& path);

/// Throws Error unless GPT2LMHeadModel can represent this model. The message names the flags for a model that
/// can be exported.
void check_exportable(const ModelConfig& config, const std::string& path);

/// Returns the text of config.json. `end_of_text`, if present, is the token that begins and ends documents.
std::string config_json(const ModelConfig& config, std::optional<int32_t> end_of_text);

}  // namespace hipgpt
