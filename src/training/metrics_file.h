// metrics.jsonl: one JSON object a line, for plots and for programs.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "error.h"

namespace hipgpt {

/// The first line describes the run, {"run": {...}}; training steps are {"step", "loss", "lr", "grad_norm",
/// "tokens_per_s", "elapsed_s"} and evaluations {"step", "val_loss", "elapsed_s"}. Every line is flushed.
class MetricsFile {
 public:
  MetricsFile(const std::string& path, bool append)
      : path_(path), out_(path, append ? std::ios::app : std::ios::trunc) {
    if (!out_) throw Error(path + ": cannot be opened for writing");
  }

  void write(const nlohmann::ordered_json& record) {
    out_ << record.dump() << std::endl;
    if (!out_) throw Error(path_ + ": cannot be written (is the disk full?)");
  }

 private:
  std::string path_;
  std::ofstream out_;
};

}  // namespace hipgpt
