#include "stored_weights.h"

#include "checkpoint/float_values.h"
#include "error.h"

namespace hipgpt {

void StoredWeights::load_into(GPTModel& model) const {
  if (!(model.config() == config)) throw Error(path + ": holds a model of another size");
  const auto load = [&](const std::string& name, const Tensor& tensor, bool) {
    std::vector<float> values(static_cast<size_t>(tensor.size()));
    read_floats(values, tensors.at(name));
    model.device().copy_to_device(tensor, values.data());
  };
  model.write_weights([&](const GPTWeights& weights) { weights.for_each(load); });
}

}  // namespace hipgpt
