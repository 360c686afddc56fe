#include "checkpoint.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <vector>

#include "error.h"

namespace hipgpt {

namespace {

constexpr const char* kFormat = "hipgpt_format";
constexpr const char* kCheckpointFormat = "checkpoint-1";
constexpr const char* kOptimizerFormat = "optimizer-1";

std::string string_field(const SafetensorsFile& file, const std::string& key) {
  const auto it = file.metadata().find(key);
  if (it == file.metadata().end()) {
    throw Error(fmt::format("{}: not a HipGPT checkpoint (its metadata has no '{}')", file.path(), key));
  }
  return it->second;
}

template <typename T>
T number_field(const SafetensorsFile& file, const std::string& key, int base) {
  const std::string text = string_field(file, key);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) {
    throw Error(fmt::format("{}: metadata '{}' is '{}', not a number", file.path(), key, text));
  }
  return value;
}

int64_t step_field(const SafetensorsFile& file) {
  const auto step = number_field<int64_t>(file, "step", 10);
  if (step < 0) throw Error(fmt::format("{}: metadata 'step' is {}, which is negative", file.path(), step));
  return step;
}

void check_format(const SafetensorsFile& file, const std::string& expected) {
  const std::string format = string_field(file, kFormat);
  if (format == expected) return;
  const std::string kind = expected.substr(0, expected.find('-') + 1);
  if (format.starts_with(kind)) {
    throw Error(fmt::format("{}: is in format {}, and this HipGPT reads {}: a newer HipGPT wrote it",
                            file.path(), format, expected));
  }
  throw Error(fmt::format("{}: is a HipGPT file of kind {}, not {}", file.path(), format, expected));
}

std::string shape_text(const auto& shape) {
  std::string text = "[";
  for (const auto d : shape) text += fmt::format("{}{}", text.size() > 1 ? "," : "", d);
  return text + "]";
}

/// Error unless the file holds this float tensor, whole and finite.
void check_tensor(const SafetensorsFile& file, const std::string& name, const std::vector<uint64_t>& shape) {
  const SafetensorsTensor& tensor = file.tensor(name);
  if (tensor.dtype != "F32")
    throw Error(fmt::format("{}: {} is {}, not F32", file.path(), name, tensor.dtype));
  if (tensor.shape != shape) {
    throw Error(fmt::format("{}: {} has shape {}, and its model needs {}", file.path(), name,
                            shape_text(tensor.shape), shape_text(shape)));
  }
  const auto* values = reinterpret_cast<const float*>(tensor.bytes.data());
  for (size_t i = 0; i < tensor.bytes.size() / sizeof(float); ++i) {
    if (!std::isfinite(values[i])) {
      throw Error(
          fmt::format("{}: {} holds a value that is not finite, at element {}", file.path(), name, i));
    }
  }
}

std::vector<uint64_t> file_shape(const ParameterInfo& info) {
  return {info.shape.begin(), info.shape.end()};
}

/// The flat buffer on the host, and its named parts as tensors of a file.
struct HostCopy {
  std::vector<float> values;
  std::vector<SafetensorsTensor> tensors;

  HostCopy(const Parameters& parameters, Device& device, const std::string& prefix)
      : values(static_cast<size_t>(parameters.layout().num_elements)) {
    device.copy_to_host(values.data(), parameters.flat());
    for (const ParameterInfo& info : parameters.layout().tensors) {
      const std::span<const float> part(values.data() + info.offset, static_cast<size_t>(info.size));
      tensors.push_back({prefix + info.name, "F32", file_shape(info), std::as_bytes(part)});
    }
  }
};

void load_tensors(const SafetensorsFile& file, Parameters& into, Device& device, const std::string& prefix) {
  for (const ParameterInfo& info : into.layout().tensors) {
    device.copy_to_device(into.tensor(info.name), file.tensor(prefix + info.name).bytes.data());
  }
}

}  // namespace

void save_checkpoint(const std::string& path, const GPTModel& model, const CheckpointInfo& info) {
  const HostCopy copy(model.weights(), model.device(), "");
  auto metadata = info.config.to_metadata();
  metadata[kFormat] = kCheckpointFormat;
  metadata["tokenizer_hash"] = fmt::format("{:016x}", info.tokenizer_hash);
  metadata["step"] = std::to_string(info.step);
  write_safetensors(path, copy.tensors, metadata);
}

Checkpoint Checkpoint::open(const std::string& path) {
  return Checkpoint(SafetensorsFile::open(path));
}

Checkpoint::Checkpoint(SafetensorsFile file) : file_(std::move(file)) {
  check_format(file_, kCheckpointFormat);
  info_.config = ModelConfig::from_metadata(file_.metadata(), file_.path());
  info_.tokenizer_hash = number_field<uint64_t>(file_, "tokenizer_hash", 16);
  info_.step = step_field(file_);
  const ParameterLayout layout(info_.config);
  for (const ParameterInfo& tensor : layout.tensors) check_tensor(file_, tensor.name, file_shape(tensor));
  if (file_.tensors().size() != layout.tensors.size()) {
    throw Error(fmt::format("{}: holds {} tensors, and its model has {}", path(), file_.tensors().size(),
                            layout.tensors.size()));
  }
}

void Checkpoint::check_tokenizer(uint64_t tokenizer_hash, const std::string& tokenizer_path) const {
  if (tokenizer_hash == info_.tokenizer_hash) return;
  throw Error(fmt::format("{} was not trained with {}: use the tokenizer.json that was written with it",
                          path(), tokenizer_path));
}

void Checkpoint::load_into(GPTModel& model) const {
  if (!(model.config() == info_.config)) throw Error(path() + ": is of a model of another size");
  load_tensors(file_, model.weights(), model.device(), "");
}

std::string optimizer_path(const std::string& checkpoint_path) {
  const std::string ending = ".bin";
  const bool has_ending = checkpoint_path.ends_with(ending);
  return checkpoint_path.substr(0, checkpoint_path.size() - (has_ending ? ending.size() : 0)) +
         ".optimizer.bin";
}

void save_optimizer(const std::string& path, const OptimizerState& state, Device& device) {
  HostCopy first(state.first_moment, device, "exp_avg.");
  const HostCopy second(state.second_moment, device, "exp_avg_sq.");
  first.tensors.insert(first.tensors.end(), second.tensors.begin(), second.tensors.end());
  write_safetensors(path, first.tensors, {{kFormat, kOptimizerFormat}, {"step", std::to_string(state.step)}});
}

void load_optimizer(const std::string& path, OptimizerState& state, Device& device) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  check_format(file, kOptimizerFormat);
  for (const char* prefix : {"exp_avg.", "exp_avg_sq."}) {
    for (const ParameterInfo& info : state.first_moment.layout().tensors) {
      check_tensor(file, prefix + info.name, file_shape(info));
    }
  }
  load_tensors(file, state.first_moment, device, "exp_avg.");
  load_tensors(file, state.second_moment, device, "exp_avg_sq.");
  state.step = step_field(file);
}

}  // namespace hipgpt
