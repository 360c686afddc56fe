// The parts of tokenizer.json that say how a text is encoded, except the vocabulary itself.
#pragma once

#include <string>

#include "tokenizer/pipeline.h"
#include "util/json.h"

namespace hipgpt {

/// Reads them from a tokenizer.json. Throws Error for anything that is not supported.
Pipeline read_pipeline(const JsonValue& document);

/// The texts of "normalizer" and "pre_tokenizer", and of "post_processor" and "decoder", which are equal.
struct PipelineJson {
  std::string normalizer, pre_tokenizer, byte_level;
};
PipelineJson to_json(const Pipeline& pipeline);

}  // namespace hipgpt
