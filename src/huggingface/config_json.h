// config.json: what Hugging Face's GPT2Config says of a model, and what of it a ModelConfig can say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model_config.h"
#include "util/json.h"

namespace hipgpt {

/// The object in a JSON file; every Error names the file.
JsonValue read_json_object(const std::string& path);

/// Error for what is missing, and for everything that would make the model compute something else here.
ModelConfig read_model_config(const std::string& path);

/// Error, with the flags that would have helped, unless GPT2LMHeadModel can be this model.
void check_exportable(const ModelConfig& config, const std::string& path);

/// The text of config.json. `end_of_text` begins and ends documents, if there is such a token.
std::string config_json(const ModelConfig& config, std::optional<int32_t> end_of_text);

}  // namespace hipgpt
