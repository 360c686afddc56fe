#include "gpt_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "error.h"
#include "philox.h"
#include "util/parameter.h"

namespace hipgpt {

namespace {

/// values[i] ~ N(0, sigma). Each Philox block gives a pair of normals, so value i depends only on (seed,
/// stream, i).
void fill_normal(std::vector<float>& values, float sigma, uint64_t seed, uint32_t stream) {
  for (size_t i = 0; i < values.size(); i += 2) {
    const auto bits = philox4x32({static_cast<uint32_t>(i / 2), static_cast<uint32_t>((i / 2) >> 32), stream,
                                  static_cast<uint32_t>(RandomUse::kWeights)},
                                 philox_key(seed));
    const auto [a, b] = normal_pair(bits[0], bits[1]);
    values[i] = sigma * a;
    if (i + 1 < values.size()) values[i + 1] = sigma * b;
  }
}

}  // namespace

GPTModel::GPTModel(Device& device, const ModelConfig& config, DType dtype)
    : device_(device), config_(config), dtype_(dtype), weights_(device, config) {
  if (dtype == DType::kBF16) {
    rounded_.emplace(GPTWeights::rounded(device, weights_));
    device.set_zero(rounded_->flat());
  } else if (dtype != DType::kF32) {
    throw Error(std::string("a model cannot compute in ") + to_string(dtype) + ": must be f32 or bf16");
  }
  add_layers();
}

GPTModel::GPTModel(Device& device, GPTWeights weights, DType dtype, bool folded)
    : device_(device),
      config_(weights.config()),
      dtype_(dtype),
      weights_(std::move(weights)),
      only_generates_(true),
      folded_(folded) {
  add_layers();
}

void GPTModel::add_layers() {
  for (int l = 0; l < config_.num_layers; ++l) {
    layers_.emplace_back(device_, config_, operands().layers[static_cast<size_t>(l)], l);
  }
}

void GPTModel::write_weights(const std::function<void(const GPTWeights&)>& f) {
  if (only_generates_) throw Error("the weights of a model that only generates cannot be written");
  f(weights_);
  if (rounded_) device_.round_to_bf16(rounded_->flat(), weights_.flat().rows(0, weights_.decayed()));
}

DType choose_dtype(const std::string& name, const Device& device, const ModelConfig& config) {
  if (name == "fp32") return DType::kF32;
  if (name == "bf16") return DType::kBF16;
  if (name != "auto") throw Error(fmt::format("{} {}: must be auto, fp32 or bf16", Parameter::kDType, name));
  const bool fits = config.embed_dim % 8 == 0 && config.ff_hidden_dim % 8 == 0 &&
                    config.head_dim() % 8 == 0 && config.head_dim() <= 128;
  return fits ? device.preferred_dtype() : DType::kF32;
}

DType choose_weights(const std::string& name, const Device& device, DType dtype) {
  const std::string flag = fmt::format("{} {}", Parameter::kWeights, name);
  if (name == "fp32") return dtype;
  if (name != "bf16" && name != "int8") throw Error(flag + ": must be fp32, bf16 or int8");
  const DType needed = device.reads_host_memory() ? DType::kF32 : DType::kBF16;
  if (dtype != needed) {
    throw Error(fmt::format("{}: on this device, needs {} {}", flag, Parameter::kDType, name_of(needed)));
  }
  return name == "bf16" ? DType::kBF16 : DType::kInt8;
}

std::string name_of(DType dtype) {
  return dtype == DType::kF32 ? "fp32" : to_string(dtype);
}

std::string where_it_computes(const GPTModel& model) {
  std::string where = model.device().description();
  const DType weights = model.weights_dtype();
  if (model.dtype() != DType::kF32) where += ", " + name_of(model.dtype());
  if (weights != model.dtype()) where += fmt::format(", {} weights", name_of(weights));
  return where;
}

void initialize(GPTModel& model, uint64_t seed) {
  const float sigma = 0.02f;
  const float residual_sigma = sigma / std::sqrt(2.0f * static_cast<float>(model.config().num_layers));
  uint32_t stream = 0;  // of random numbers; each weight has its own
  const auto fill = [&](const std::string& name, const Tensor& tensor, bool is_matrix) {
    std::vector<float> values(static_cast<size_t>(tensor.size()), 0.0f);
    if (is_matrix) {
      fill_normal(values, name.ends_with("c_proj.weight") ? residual_sigma : sigma, seed, stream);
    } else if (name.ends_with(".weight")) {  // LayerNorm
      std::fill(values.begin(), values.end(), 1.0f);
    }
    model.device().copy_to_device(tensor, values.data());
    ++stream;
  };
  model.write_weights([&](const GPTWeights& weights) { weights.for_each(fill); });
}

}  // namespace hipgpt
