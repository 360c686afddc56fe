// How checkpoints and optimizer files are written: from copies on the host, into files that the caller puts
// into place.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "checkpoint.h"
#include "util/atomic_file.h"

namespace hipgpt {

/// Weights, or anything of their layout, in the host's memory.
class HostWeights {
 public:
  HostWeights(Device& device, const ModelConfig& config);
  HostWeights(Device& device, const GPTWeights& weights);

  void copy_from(const GPTWeights& weights);

  /// As tensors of a file, under their names with `prefix` before them.
  std::vector<SafetensorsTensor> tensors(const std::string& prefix) const;

 private:
  Device& device_;
  GPTWeights shapes_;  // without memory
  Buffer memory_;
};

/// As write_safetensors() of safetensors_file.h, into a file that the caller commits. Returns the checksum.
std::string write_safetensors(AtomicFile& file, std::span<const SafetensorsTensor> tensors,
                              const std::map<std::string, std::string>& metadata);

/// Writes the weights under Hugging Face's names. Returns their checksum.
std::string write_checkpoint(AtomicFile& file, const HostWeights& weights, const CheckpointInfo& info);

void write_optimizer(AtomicFile& file, const HostWeights& first_moment, const HostWeights& second_moment,
                     const OptimizerInfo& info);

}  // namespace hipgpt
