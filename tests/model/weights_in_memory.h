// The weights of a model as StoredWeights, without a file.
#pragma once

#include "gpt_model.h"
#include "stored_weights.h"

namespace hipgpt {

/// `model` computes on a device that reads_host_memory(), and must outlive the result.
inline StoredWeights weights_in_memory(const GPTModel& model) {
  StoredWeights stored;
  stored.config = model.config();
  model.weights().for_each([&](const std::string& name, const Tensor& tensor, bool) {
    SafetensorsTensor& t = stored.tensors[name];
    t.name = name;
    t.dtype = "F32";
    for (const int64_t size : tensor.shape()) t.shape.push_back(static_cast<uint64_t>(size));
    t.bytes = {static_cast<const std::byte*>(tensor.data()), tensor.bytes()};
  });
  return stored;
}

}  // namespace hipgpt
