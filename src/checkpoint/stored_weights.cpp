#include "stored_weights.h"

#include <algorithm>
#include <memory>
#include <span>

#include "checkpoint/float_values.h"
#include "checkpoint/narrow_weights.h"
#include "error.h"
#include "util/host_memory.h"

namespace hipgpt {

namespace {

/// What keeps the weights of a model in place: the files of those that are mapped, and the memory of others.
struct Kept {
  std::vector<SafetensorsFile> files;
  std::vector<Buffer> buffers;
  std::span<std::byte> unused = {};  // of the last buffer

  /// Memory for a tensor. Tensors share large buffers in huge pages, because a product reads them from end to end
  /// and would wait for the address of every small page.
  Tensor allocate(Device& device, const Tensor& shape) {
    constexpr size_t kLeast = size_t{32} << 20, kAlignment = 64;
    const size_t bytes = (shape.bytes() + kAlignment - 1) / kAlignment * kAlignment;
    if (bytes > unused.size()) {
      const Buffer& buffer = buffers.emplace_back(device, std::max(bytes, kLeast));
      unused = {buffer.data(), buffer.bytes()};
      prefer_huge_pages(unused);
    }
    const Tensor placed = shape.at(unused.data());
    unused = unused.subspan(bytes);
    return placed;
  }
};

/// A tensor of a file that has the wanted type, as it lies there. None if it has another one or is not aligned.
/// Operations only read weights.
Tensor in_place(const SafetensorsTensor& stored, const Tensor& wanted) {
  const char* dtype = wanted.dtype() == DType::kF32 ? "F32" : "BF16";
  const bool aligned = reinterpret_cast<uintptr_t>(stored.bytes.data()) % dtype_bytes(wanted.dtype(), 1) == 0;
  if (wanted.dtype() == DType::kInt8 || stored.dtype != dtype || !aligned) return {};
  return wanted.at(const_cast<std::byte*>(stored.bytes.data()));
}

/// Releases the memory of some bytes of a tensor in its file.
void forget(const std::vector<SafetensorsFile>& files, const SafetensorsTensor& tensor,
            std::span<const std::byte> bytes) {
  for (const SafetensorsFile& file : files) {
    const SafetensorsTensor* found = file.find(tensor.name);
    if (found != nullptr && found->bytes.data() == tensor.bytes.data()) file.forget(bytes);
  }
}

/// convert_weight(), in parts of some megabytes whose memory in the file is released.
void convert(const Tensor& weight, const SafetensorsTensor& stored, Layout layout,
             const std::vector<SafetensorsFile>& files) {
  const auto rows = static_cast<int64_t>(stored.shape[0]);
  const size_t row_bytes = stored.bytes.size() / static_cast<size_t>(rows);
  const int64_t out = weight.dim(0), count = layout == Layout::kOutIn ? 4096 : out;
  for (int64_t first = 0; first < out; first += count) {
    const int64_t here = std::min(count, out - first);
    SafetensorsTensor part = stored;
    if (layout == Layout::kOutIn) {
      part.bytes =
          stored.bytes.subspan(static_cast<size_t>(first) * row_bytes, static_cast<size_t>(here) * row_bytes);
    }
    convert_weight(weight.rows(first, here), part, layout);
    forget(files, stored, part.bytes);
  }
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
      const Tensor copy = kept->allocate(device, shape);
      read_floats({copy.f32(), static_cast<size_t>(copy.size())}, stored);
      forget(files, stored, stored.bytes);
      return copy;
    }
    const Tensor wanted = is_head ? Tensor(nullptr, {shape.dim(0), shape.dim(1)}, format)
                                  : Tensor(nullptr, {shape.dim(1), shape.dim(0)}, format);
    if (is_head) {
      if (const Tensor mapped = in_place(stored, wanted)) return mapped;
    }
    const Tensor converted = kept->allocate(device, wanted);
    convert(converted, stored, is_head ? Layout::kOutIn : Layout::kInOut, files);
    return converted;
  };
  GPTWeights weights(config, place, kept);
  return GPTModel(device, std::move(weights));
}

}  // namespace hipgpt
