// The position of each weight of a model in the flat buffer.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "gpt_weights.h"

namespace hipgpt {

struct WeightPlace {
  std::string name;
  std::vector<int64_t> shape;
  int64_t offset, size;
};

inline std::vector<WeightPlace> weight_places(const ModelConfig& config) {
  std::vector<WeightPlace> places;
  int64_t offset = 0;
  GPTWeights(config).for_each([&](const std::string& name, const Tensor& tensor, bool) {
    places.push_back({name, tensor.shape(), offset, tensor.size()});
    offset += tensor.size();
  });
  return places;
}

inline WeightPlace weight_place(const ModelConfig& config, const std::string& name) {
  for (const WeightPlace& place : weight_places(config)) {
    if (place.name == name) return place;
  }
  throw std::runtime_error("no weight named " + name);
}

}  // namespace hipgpt
