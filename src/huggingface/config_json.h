// Converts between config.json (Hugging Face's GPT2Config) and ModelConfig.
#pragma once

#include <string>

#include "model_config.h"
#include "token_roles.h"

namespace hipgpt {

/// Throws Error for a missing value and for any setting that would make the model compute something else
/// here.
ModelConfig read_model_config(const std::string& path);

/// Throws Error unless GPT2LMHeadModel can represent this model. The message names the flags for a model that
/// can be exported.
void check_exportable(const ModelConfig& config, const std::string& path);

/// Returns the text of config.json.
std::string config_json(const ModelConfig& config, const TokenRoles& roles);

}  // namespace hipgpt
