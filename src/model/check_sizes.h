// The limits of a model's sizes, for any file or command that names them.
#pragma once

#include <string>

#include "model_config.h"
#include "util/parameter.h"

namespace hipgpt {

/// Throws Error unless a model of these sizes can exist. name(parameter) is the name of a size in the
/// message.
void check_sizes(const ModelConfig& config, std::string (*name)(Parameter));

}  // namespace hipgpt
