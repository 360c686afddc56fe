// The model card of an export: a README.md with the metadata that Hugging Face's hub reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model_config.h"
#include "records/metrics_file.h"

namespace hipgpt {

/// What a card tells about a model.
struct CardFacts {
  std::string name;
  ModelConfig config;
  std::optional<int64_t> step;  ///< of the checkpoint; none for a model that came from elsewhere
  bool added_end = false;       ///< the export added <|endoftext|>
  RunHistory history = {};      ///< of the run that wrote the checkpoint, or empty
};

/// Reads the history of the run that wrote a checkpoint, up to the checkpoint's step, from the metrics file next to
/// it. Returns an empty one if that file is missing or belongs to a run of a model of another size.
RunHistory history_beside(const std::string& checkpoint, const ModelConfig& config, int64_t step);

/// Returns the card: how to load the model, its losses, sizes, data and settings, and its limits. It names the
/// files of the data without their folders, and leaves out the command line: both may tell what is private.
std::string model_card(const CardFacts& facts);

}  // namespace hipgpt
