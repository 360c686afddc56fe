#include "stored_weights.h"

#include <algorithm>
#include <memory>
#include <span>

#include "checkpoint/float_values.h"
#include "checkpoint/folded_norms.h"
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
      if (device.reads_host_memory()) prefer_huge_pages(unused);
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

/// How a model that generates keeps a weight: its type, and whether its rows are those of the file.
struct Placement {
  Tensor wanted;
  bool transposed;
};

/// Embeddings are [V,E], which is [out,in] for a head; positions and an untied embedding are in no product. A
/// model that computes in bf16 has all matrices in bf16 or narrower.
Placement placement(const std::string& name, const Tensor& shape, const ModelConfig& config, DType dtype,
                    DType format) {
  const bool embeds = name == "transformer.wpe.weight" || name == "transformer.wte.weight";
  const bool is_head = name == "lm_head.weight" || (config.tied_head && name == "transformer.wte.weight");
  if (shape.rank() != 2) return {shape, false};
  if (embeds && !is_head) return {Tensor(nullptr, {shape.dim(0), shape.dim(1)}, dtype), false};
  if (is_head || format == DType::kF32) return {Tensor(nullptr, {shape.dim(0), shape.dim(1)}, format), false};
  return {Tensor(nullptr, {shape.dim(1), shape.dim(0)}, format), true};
}

/// Fills a tensor in the host's memory.
void fill(const Tensor& tensor, const SafetensorsTensor& stored, bool transposed,
          const std::vector<SafetensorsFile>& files) {
  if (tensor.dtype() != DType::kF32)
    return convert(tensor, stored, transposed ? Layout::kInOut : Layout::kOutIn, files);
  read_floats({tensor.f32(), static_cast<size_t>(tensor.size())}, stored);
  forget(files, stored, stored.bytes);
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
  const bool as_in_training = device.reads_host_memory() ? dtype != DType::kF32 : format == DType::kF32;
  if (as_in_training) {
    GPTModel model(device, config, dtype);
    load_into(model);
    return model;
  }
  const auto kept = std::make_shared<Kept>();
  kept->files = files;
  const bool on_host = device.reads_host_memory();
  const auto place = [&](const std::string& name, const Tensor& shape) {
    SafetensorsTensor stored = tensors.at(name);
    const auto [wanted, transposed] = placement(name, shape, config, dtype, format);
    const std::vector<float> folded = on_host ? std::vector<float>() : folded_values(*this, name);
    if (!folded.empty()) {
      stored.dtype = "F32";
      stored.bytes = std::as_bytes(std::span(folded));
    }
    const Tensor mapped = transposed ? Tensor() : in_place(stored, wanted);
    if (mapped && on_host) return mapped;
    const Tensor placed = kept->allocate(device, wanted);
    if (on_host) {
      fill(placed, stored, transposed, files);
      return placed;
    }
    std::vector<std::byte> bytes(mapped ? 0 : wanted.bytes());
    if (!mapped) fill(wanted.at(bytes.data()), stored, transposed, files);
    device.copy_to_device(placed, mapped ? mapped.data() : bytes.data());
    return placed;
  };
  GPTWeights weights(config, place, kept);
  return GPTModel(device, std::move(weights), dtype, !on_host);
}

}  // namespace hipgpt
