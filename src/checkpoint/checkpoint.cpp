#include "checkpoint.h"

#include <fmt/format.h>

#include <charconv>
#include <vector>

#include "checkpoint/float_values.h"
#include "checkpoint/token_roles_json.h"
#include "checkpoint/write_checkpoint.h"
#include "error.h"
#include "util/files.h"
#include "util/json.h"
#include "util/name_errors.h"
#include "util/number_text.h"
#include "util/run_flags_text.h"

namespace hipgpt {

namespace {

constexpr const char* kFormat = "hipgpt_format";
constexpr const char* kTokenRoles = "token_roles";
constexpr const char* kTokenizerSettings = "tokenizer_settings";
constexpr const char* kCheckpointFormat = "checkpoint-1";
constexpr const char* kOptimizerFormat = "optimizer-2";
constexpr const char* kBatches = "batches";
constexpr const char* kOneBatchPerStep = "one per step";
constexpr const char* kFirstMoment = "exp_avg.";
constexpr const char* kSecondMoment = "exp_avg_sq.";

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

RunFlags flags_in(const std::string& path, const std::map<std::string, std::string>& metadata) {
  const auto text = metadata.find("flags");
  const auto json = text == metadata.end() ? std::nullopt : try_parse_json(text->second);
  const auto flags = json ? run_flags_from(*json) : std::nullopt;
  if (!flags) throw Error(path + ": damaged (its metadata has no flags); use an intact copy");
  return *flags;
}

/// Checkpoints of models that HipGPT made from nothing have no roles.
TokenRoles roles_in(const SafetensorsFile& file, int vocab_size) {
  const auto text = file.metadata().find(kTokenRoles);
  if (text == file.metadata().end()) return {};
  return name_errors(fmt::format("{}: metadata '{}'", file.path(), kTokenRoles),
                     [&] { return token_roles_in(parse_json(text->second), vocab_size); });
}

void check_format(const SafetensorsFile& file, const std::string& expected) {
  if (!file.metadata().contains(kFormat) && file_exists(folder_of(file.path()) + "/config.json")) {
    throw Error(
        fmt::format("{}: not a HipGPT checkpoint; if it belongs to a Hugging Face model, name the "
                    "folder {} instead",
                    file.path(), folder_of(file.path())));
  }
  const std::string format = string_field(file, kFormat);
  if (format == expected) return;
  const std::string kind = expected.substr(0, expected.find('-') + 1);
  if (format.starts_with(kind)) {
    throw Error(fmt::format("{}: has format {}, but this HipGPT reads {}: another version wrote the file",
                            file.path(), format, expected));
  }
  throw Error(fmt::format("{}: is a HipGPT file of kind {}, not {}", file.path(), format, expected));
}

void load_tensors(const SafetensorsFile& file, const GPTWeights& into, Device& device,
                  const std::string& prefix) {
  into.for_each([&](const std::string& name, const Tensor& tensor, bool) {
    std::vector<float> values(static_cast<size_t>(tensor.size()));
    read_floats(values, file.tensor(prefix + name));
    device.copy_to_device(tensor, values.data());
  });
}

}  // namespace

HostWeights::HostWeights(Device& device, const ModelConfig& config)
    : device_(device), shapes_(config), memory_(Buffer::on_host(device, shapes_.flat().bytes())) {}

HostWeights::HostWeights(Device& device, const GPTWeights& weights) : HostWeights(device, weights.config()) {
  copy_from(weights.flat());
}

void HostWeights::copy_from(Tensor flat) {
  if (flat.size() != shapes_.flat().size())
    throw Error("the weights and their copy belong to different models");
  device_.copy_to_host(memory_.data(), flat);
}

std::vector<SafetensorsTensor> HostWeights::tensors(const std::string& prefix) const {
  std::vector<SafetensorsTensor> result;
  const std::byte* next = memory_.data();
  shapes_.for_each([&](const std::string& name, const Tensor& tensor, bool) {
    const std::vector<int64_t> shape = tensor.shape();
    result.push_back({prefix + name, "F32", {shape.begin(), shape.end()}, {next, tensor.bytes()}});
    next += tensor.bytes();
  });
  return result;
}

std::string write_checkpoint(AtomicFile& file, const HostWeights& weights, const CheckpointInfo& info) {
  auto metadata = info.config.to_metadata();
  metadata[kFormat] = kCheckpointFormat;
  metadata["tokenizer_hash"] = fmt::format("{:016x}", info.tokenizer_hash);
  metadata["step"] = std::to_string(info.step);
  if (!info.roles.empty()) {
    JsonValue roles = JsonValue::Object();
    set_token_roles(roles, info.roles);
    metadata[kTokenRoles] = roles.dump();
  }
  if (!info.tokenizer_settings.empty()) metadata[kTokenizerSettings] = info.tokenizer_settings;
  return write_safetensors(file, weights.tensors(""), metadata);
}

void save_checkpoint(const std::string& path, const GPTModel& model, const CheckpointInfo& info) {
  if (!(info.config == model.config())) throw Error(path + ": the config to save differs from the model's");
  AtomicFile file(path);
  write_checkpoint(file, HostWeights(model.device(), model.weights()), info);
  file.commit();
}

Checkpoint Checkpoint::open(const std::string& path) {
  return Checkpoint(SafetensorsFile::open(path));
}

Checkpoint::Checkpoint(SafetensorsFile file) : file_(std::move(file)) {
  check_format(file_, kCheckpointFormat);
  info_.config = ModelConfig::from_metadata(file_.metadata(), file_.path());
  info_.tokenizer_hash = number_field<uint64_t>(file_, "tokenizer_hash", 16);
  info_.step = step_field(file_);
  info_.roles = roles_in(file_, info_.config.vocab_size);
  if (const auto text = file_.metadata().find(kTokenizerSettings); text != file_.metadata().end())
    info_.tokenizer_settings = text->second;
  size_t count = 0;
  GPTWeights(info_.config).for_each([&](const std::string& name, const Tensor& tensor, bool) {
    check_floats(file_, file_.tensor(name), tensor.shape());
    ++count;
  });
  if (file_.tensors().size() != count) {
    throw Error(fmt::format("{}: holds {}, but its model has {}", path(),
                            counted(file_.tensors().size(), "tensor"), count));
  }
}

void Checkpoint::check_tokenizer(uint64_t hash, int vocab_size, const std::string& tokenizer_path) const {
  if (hash != info_.tokenizer_hash) {
    throw Error(fmt::format("{} was not trained with {}: use the tokenizer.json that was written with it",
                            path(), tokenizer_path));
  }
  if (vocab_size != info_.config.vocab_size) {
    throw Error(fmt::format("{} has a vocabulary of {}, but {} has {}: use an intact copy of both", path(),
                            counted(info_.config.vocab_size, "token"), tokenizer_path, vocab_size));
  }
}

StoredWeights Checkpoint::weights() const {
  StoredWeights weights{path(), info_.config, {}, {file_}, info_.roles, info_.tokenizer_settings};
  for (const SafetensorsTensor& tensor : file_.tensors()) weights.tensors[tensor.name] = tensor;
  return weights;
}

std::string optimizer_path(const std::string& checkpoint_path) {
  const std::string ending = ".bin";
  const bool has_ending = checkpoint_path.ends_with(ending);
  return checkpoint_path.substr(0, checkpoint_path.size() - (has_ending ? ending.size() : 0)) +
         ".optimizer.bin";
}

void write_optimizer(AtomicFile& file, const HostWeights& first_moment, const HostWeights& second_moment,
                     const OptimizerInfo& info) {
  std::vector<SafetensorsTensor> tensors = first_moment.tensors(kFirstMoment);
  const std::vector<SafetensorsTensor> second = second_moment.tensors(kSecondMoment);
  tensors.insert(tensors.end(), second.begin(), second.end());
  write_safetensors(file, tensors,
                    {{kFormat, kOptimizerFormat},
                     {"step", std::to_string(info.step)},
                     {"weights_checksum", info.weights_checksum},
                     {"data_hash", fmt::format("{:016x}", info.data_hash)},
                     {"flags", to_json(info.flags).dump()},
                     {kBatches, kOneBatchPerStep}});
}

OptimizerFile OptimizerFile::open(const std::string& path) {
  return OptimizerFile(SafetensorsFile::open(path));
}

OptimizerFile::OptimizerFile(SafetensorsFile file) : file_(std::move(file)) {
  check_format(file_, kOptimizerFormat);
  info_.step = step_field(file_);
  info_.weights_checksum = string_field(file_, "weights_checksum");
  info_.data_hash = number_field<uint64_t>(file_, "data_hash", 16);
  info_.flags = flags_in(path(), file_.metadata());
  const auto batches = file_.metadata().find(kBatches);
  info_.one_batch_per_step = batches != file_.metadata().end() && batches->second == kOneBatchPerStep;
}

bool OptimizerFile::belongs_to(const Checkpoint& checkpoint) const {
  const std::string checksum = checkpoint.checksum();
  return info_.step == checkpoint.info().step && (checksum.empty() || checksum == info_.weights_checksum);
}

void OptimizerFile::load(Moment moment, const GPTWeights& into, Device& device) const {
  const char* const prefix = moment == Moment::kFirst ? kFirstMoment : kSecondMoment;
  into.for_each([&](const std::string& name, const Tensor& tensor, bool) {
    check_floats(file_, file_.tensor(prefix + name), tensor.shape());
  });
  load_tensors(file_, into, device, prefix);
}

bool headers_belong_together(const std::string& optimizer_path, const std::string& checkpoint_path) {
  auto optimizer = read_safetensors_metadata(optimizer_path);
  auto checkpoint = read_safetensors_metadata(checkpoint_path);
  const std::string checksum = checkpoint["checksum"];
  return optimizer["step"] == checkpoint["step"] &&
         (checksum.empty() || checksum == optimizer["weights_checksum"]);
}

RunFlags read_flags(const std::string& optimizer_path) {
  return flags_in(optimizer_path, read_safetensors_metadata(optimizer_path));
}

}  // namespace hipgpt
