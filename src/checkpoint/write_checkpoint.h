// Writes checkpoints and optimizer files from copies on the host, into files that the caller commits.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "checkpoint.h"
#include "util/atomic_file.h"

namespace hipgpt {

/// Holds weights, or values with the same layout, in host memory.
class HostWeights {
 public:
  HostWeights(Device& device, const ModelConfig& config);
  HostWeights(Device& device, const GPTWeights& weights);

  /// Copies a GPTWeights::flat() of the same config.
  void copy_from(Tensor flat);

  /// Returns them as tensors of a file, with `prefix` before each name.
  std::vector<SafetensorsTensor> tensors(const std::string& prefix) const;

 private:
  Device& device_;
  GPTWeights shapes_;  // without memory
  Buffer memory_;
};

/// Like write_safetensors() in safetensors_file.h, but leaves the commit to the caller. Returns the checksum.
std::string write_safetensors(AtomicFile& file, std::span<const SafetensorsTensor> tensors,
                              const std::map<std::string, std::string>& metadata);

/// Writes the weights under Hugging Face's names. Returns their checksum.
std::string write_checkpoint(AtomicFile& file, const HostWeights& weights, const CheckpointInfo& info);

void write_optimizer(AtomicFile& file, const HostWeights& first_moment, const HostWeights& second_moment,
                     const OptimizerInfo& info);

}  // namespace hipgpt
