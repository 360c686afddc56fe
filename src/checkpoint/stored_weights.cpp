#include "stored_weights.h"

#include "checkpoint/float_values.h"
#include "error.h"

namespace hipgpt {

void StoredWeights::load_into(GPTModel& model) const {
  if (!(model.config() == config)) throw Error(path + ": is of a model of another size");
  for (const ParameterInfo& info : model.layout().tensors) {
    std::vector<float> values(static_cast<size_t>(info.size));
    read_floats(values, tensors.at(info.name));
    model.device().copy_to_device(model.weights().tensor(info.name), values.data());
  }
}

}  // namespace hipgpt
