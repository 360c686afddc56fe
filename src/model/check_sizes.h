// The limits of a model's sizes, for any file or command that names them.
#pragma once

#include <string>

#include "model_config.h"
#include "util/parameter.h"

namespace hipgpt {

/// Throws Error unless a model of these sizes can exist. name(parameter) is how the message calls a size.
void check_sizes(const ModelConfig& config, std::string (*name)(Parameter));

}  // namespace hipgpt
