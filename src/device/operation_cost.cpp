#include "device/operation_cost.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace hipgpt::cost {

namespace {

double size(const Tensor& t) {
  return t ? static_cast<double>(t.size()) : 0.0;
}

/// The bytes of the elements, without the gaps between rows.
double bytes(const Tensor& t) {
  return t ? static_cast<double>(dtype_bytes(t.dtype(), t.size())) : 0.0;
}

template <typename... Tensors>
double bytes(const Tensor& first, const Tensors&... others) {
  return bytes(first) + bytes(others...);
}

std::string shape(const Tensor& t) {
  return fmt::format("[{}]", fmt::join(t.shape(), ","));
}

double dim(const Tensor& t, int i) {
  return static_cast<double>(t.dim(i));
}

/// The FLOP of a product of `rows` rows with this matrix.
double product(double rows, const Tensor& weight) {
  return 2.0 * rows * size(weight);
}

/// A weight as [in,out], whatever its layout.
std::string shape(const Linear& layer) {
  const bool in_out = layer.layout == Layout::kInOut;
  return fmt::format("[{},{}]", layer.weight.dim(in_out ? 0 : 1), layer.weight.dim(in_out ? 1 : 0));
}

/// The FLOP of an activation per element.
double of(Activation act) {
  switch (act) {
    case Activation::kNone: return 0.0;
    case Activation::kRelu: return 1.0;
    default: return 8.0;
  }
}

/// The FLOP of a dropout per element, without the random numbers.
double of(const Dropout& dropout) {
  return dropout.p > 0.0f ? 1.0 : 0.0;
}

/// The size of [T,T] scores below the diagonal, times E: half of B T T E.
double half_scores(const Tensor& qkv) {
  return 0.5 * dim(qkv, 0) * dim(qkv, 1) * (dim(qkv, 1) + 1.0) * dim(qkv, 2) / 3.0;
}

// FLOP per element: y = (x - mean) rstd * weight + bias takes 4, mean and variance take 4 more.
constexpr double kLayerNorm = 8.0, kLayerNormBackward = 14.0, kSoftmax = 4.0, kAdamW = 14.0;

}  // namespace

OperationCost linear(Tensor y, Tensor x, const Linear& layer, Activation act, Tensor slope) {
  return {shape(x) + " x " + shape(layer), product(dim(x, 0), layer.weight) + size(y) * (1.0 + of(act)),
          bytes(y, x, layer.weight, layer.bias, slope)};
}

OperationCost fused_linear(Tensor y, Tensor residual, Tensor x, bool scaled, const Linear& layer,
                           Activation act) {
  constexpr double kVariance = 3.0;  // FLOP per element
  return {shape(x) + " x " + shape(layer),
          product(dim(x, 0), layer.weight) + size(y) * (1.0 + of(act)) + size(residual) +
              (scaled ? kVariance * size(x) : 0.0),
          bytes(y, residual, x, layer.weight, layer.bias)};
}

OperationCost linear_backward(Tensor dx, const Linear& gradients, Tensor dy, Tensor x, const Linear& layer,
                              Tensor slope, Tensor dx_sums) {
  const double sums = gradients.bias ? size(dy) : 0.0;
  return {shape(dy) + " x " + shape(layer) + "^T",
          2.0 * product(dim(dy, 0), layer.weight) + sums + size(slope) + (dx_sums ? size(dx) : 0.0),
          bytes(dx, dy, x, layer.weight, slope) + 2.0 * bytes(gradients.weight, gradients.bias, dx_sums)};
}

OperationCost embedding(Tensor y, Tensor tokens, Tensor, Tensor wpe, Tensor) {
  const double positions = dim(tokens, 1) * dim(wpe, 1) * static_cast<double>(dtype_bytes(wpe.dtype(), 1));
  return {shape(y), size(y), 2.0 * bytes(y) + positions + bytes(tokens)};
}

OperationCost embedding_backward(Tensor, Tensor dwpe, Tensor dy, Tensor tokens) {
  const double positions = dim(tokens, 1) * dim(dwpe, 1) * sizeof(float);
  return {shape(dy), 2.0 * size(dy),
          bytes(dy) + 2.0 * size(dy) * sizeof(float) + 2.0 * positions + bytes(tokens)};
}

OperationCost layernorm(Tensor y, const NormStats& stats, Tensor x, const Norm& norm) {
  return {shape(x), kLayerNorm * size(x), bytes(y, x, stats.mean, stats.rstd, norm.weight, norm.bias)};
}

OperationCost residual_layernorm(Tensor sum, Tensor y, const NormStats& stats, Tensor x, Tensor branch,
                                 const Dropout& dropout, const Norm& norm) {
  return {shape(x), (kLayerNorm + 1.0 + of(dropout)) * size(x),
          bytes(sum, y, x, branch, stats.mean, stats.rstd, norm.weight, norm.bias)};
}

OperationCost layernorm_backward(Tensor dx, const Norm& gradients, Tensor dy, Tensor x, const Norm& norm,
                                 const NormStats& stats, Tensor dx_sums) {
  return {shape(x), (kLayerNormBackward + (dx_sums ? 1.0 : 0.0)) * size(x),
          2.0 * bytes(dx, gradients.weight, gradients.bias, dx_sums) +
              bytes(dy, x, norm.weight, stats.mean, stats.rstd)};
}

OperationCost attention(Tensor out, Tensor lse, Tensor qkv, int heads, const Dropout&) {
  // Q K^T and P V, and the softmax of each head's scores.
  const double scores = half_scores(qkv), head_size = dim(out, 2) / heads;
  return {fmt::format("{} heads {}", heads, shape(qkv)), 4.0 * scores + kSoftmax * scores / head_size,
          bytes(out, lse, qkv)};
}

OperationCost attention_backward(Tensor dqkv, Tensor dout, Tensor qkv, Tensor out, Tensor lse, int heads,
                                 const Dropout&, Tensor dqkv_sums) {
  // Five products: scores again, dP, dV, dQ and dK.
  const double scores = half_scores(qkv), head_size = dim(out, 2) / heads;
  return {fmt::format("{} heads {}", heads, shape(qkv)), 10.0 * scores + 2.0 * kSoftmax * scores / head_size,
          bytes(dqkv, dout, qkv, out, lse) + 2.0 * bytes(dqkv_sums)};
}

OperationCost attention_cached(Tensor out, Tensor keys, Tensor values, Tensor qkv, int heads, Tensor) {
  // `past` is in device memory, so this counts a full cache.
  return {fmt::format("{} heads {}, cache {}", heads, shape(qkv), shape(keys)),
          4.0 * dim(qkv, 1) * size(keys), bytes(out, qkv, keys, values)};
}

OperationCost add_dropout(Tensor y, Tensor x, Tensor branch, const Dropout& dropout) {
  return {shape(branch), ((x ? 1.0 : 0.0) + of(dropout)) * size(branch), bytes(y, x, branch)};
}

OperationCost cross_entropy(Tensor losses, Tensor logits, Tensor targets) {
  return {shape(logits), kSoftmax * size(logits), bytes(losses, logits, targets)};
}

OperationCost cross_entropy_with_gradient(Tensor losses, Tensor logits, Tensor targets, float) {
  return {shape(logits), (kSoftmax + 2.0) * size(logits), bytes(losses, targets) + 2.0 * bytes(logits)};
}

OperationCost round_to_bf16(Tensor out, Tensor x) {
  return {shape(x), 0.0, bytes(out, x)};
}

OperationCost sum(Tensor out, Tensor x) {
  return {shape(x), size(x), bytes(out, x)};
}

OperationCost l2_norm(Tensor out, Tensor x) {
  return {shape(x), 2.0 * size(x), bytes(out, x)};
}

OperationCost adamw(Tensor params, Tensor rounded, Tensor grads, Tensor m, Tensor v, Tensor grad_norm,
                    Tensor rates, const AdamW&) {
  return {shape(params), kAdamW * size(params),
          2.0 * bytes(params, m, v) + bytes(rounded, grads, grad_norm, rates)};
}

OperationCost sample(Tensor token, Tensor logits, Tensor seen, Tensor draw, const Sampling& options) {
  const double of_seen = options.repetition_penalty != 1.0 ? bytes(seen) : 0.0;
  return {shape(logits), size(logits), bytes(token, logits, draw) + of_seen};
}

OperationCost increment(Tensor counters) {
  return {shape(counters), 0.0, 2.0 * bytes(counters)};
}

}  // namespace hipgpt::cost
