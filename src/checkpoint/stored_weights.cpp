#include "stored_weights.h"

#include <algorithm>
#include <memory>

#include "checkpoint/float_values.h"
#include "checkpoint/narrow_weights.h"
#include "error.h"

namespace hipgpt {

namespace {

/// What keeps the weights of a model in place: the files of those that are mapped, and the memory of others.
struct Kept {
  std::vector<SafetensorsFile> files;
  std::vector<Buffer> buffers;
};

/// A tensor of a file that has the wanted type, as it lies there. None if it has another one or is not aligned.
/// Operations only read weights.
Tensor in_place(const SafetensorsTensor& stored, const Tensor& wanted) {
  const char* dtype = wanted.dtype() == DType::kF32 ? "F32" : "BF16";
  const bool aligned = reinterpret_cast<uintptr_t>(stored.bytes.data()) % dtype_bytes(wanted.dtype(), 1) == 0;
  if (wanted.dtype() == DType::kInt8 || stored.dtype != dtype || !aligned) return {};
  return wanted.at(const_cast<std::byte*>(stored.bytes.data()));
}

/// Releases the memory of a tensor's bytes in its file.
void forget(const std::vector<SafetensorsFile>& files, const SafetensorsTensor& tensor) {
  for (const SafetensorsFile& file : files) {
    const SafetensorsTensor* found = file.find(tensor.name);
    if (found != nullptr && found->bytes.data() == tensor.bytes.data()) file.forget(tensor);
  }
}

Tensor allocate(Kept& kept, Device& device, const Tensor& shape) {
  kept.buffers.emplace_back(device, shape.bytes());
  return shape.at(kept.buffers.back().data());
}

}  // namespace

void StoredWeights::load_into(GPTModel& model) const {
  if (!(model.config() == config)) throw Error(path + ": holds a model of another size");
  const auto load = [&](const std::string& name, const Tensor& tensor, bool) {
    std::vector<float> values(static_cast<size_t>(tensor.size()));
    read_floats(values, tensors.at(name));
    model.device().copy_to_device(tensor, values.data());
  };
  model.write_weights([&](const GPTWeights& weights) { weights.for_each(load); });
}

GPTModel StoredWeights::model(Device& device, DType dtype, DType format) const {
  if (!device.reads_host_memory() || dtype != DType::kF32) {
    GPTModel model(device, config, dtype);
    load_into(model);
    return model;
  }
  const auto kept = std::make_shared<Kept>();
  kept->files = files;
  const auto place = [&](const std::string& name, const Tensor& shape) {
    const SafetensorsTensor& stored = tensors.at(name);
    // Embeddings are [V,E], which is [out,in] for a head. Positions and an untied embedding are in no product.
    const bool embeds = name == "transformer.wpe.weight" || name == "transformer.wte.weight";
    const bool is_head = name == "lm_head.weight" || (config.tied_head && name == "transformer.wte.weight");
    const bool narrow = format != DType::kF32 && shape.rank() == 2 && (is_head || !embeds);
    if (!narrow) {
      if (const Tensor mapped = in_place(stored, shape)) return mapped;
      const Tensor copy = allocate(*kept, device, shape);
      read_floats({copy.f32(), static_cast<size_t>(copy.size())}, stored);
      forget(files, stored);
      return copy;
    }
    const Tensor wanted = is_head ? Tensor(nullptr, {shape.dim(0), shape.dim(1)}, format)
                                  : Tensor(nullptr, {shape.dim(1), shape.dim(0)}, format);
    if (is_head) {
      if (const Tensor mapped = in_place(stored, wanted)) return mapped;
    }
    const Tensor converted = allocate(*kept, device, wanted);
    convert_weight(converted, stored, is_head ? Layout::kOutIn : Layout::kInOut);
    forget(files, stored);
    return converted;
  };
  GPTWeights weights(config, place, kept);
  return GPTModel(device, std::move(weights));
}

}  // namespace hipgpt
