#include "kv_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "error.h"
#include "model/layer_memory.h"
#include "util/number_text.h"

namespace hipgpt {

namespace {

constexpr int64_t kDecodedTogether = 32;  // sequences; more are a matrix product of the usual size

}  // namespace

KVCache::KVCache(const GPTModel& model, int sequences)
    : model_(model),
      device_(model.device()),
      sequences_(sequences),
      layers_(static_cast<size_t>(model.config().num_layers)) {
  if (sequences < 1) throw Error(fmt::format("a KVCache of {} sequences: must be at least 1", sequences));
  const ModelConfig& c = model.config();
  const int64_t B = sequences, S = c.max_seq_len, E = c.embed_dim;
  constexpr int64_t kManyRows = 1024;  // enough for efficient matrix products
  rows_ = std::max({S, B, std::min(B * S, kManyRows)});

  const DType dtype = model.dtype();
  // A token reads all of the cache, as it reads all weights, so narrow weights come with a narrow cache.
  const DType cached = model.weights_dtype() == DType::kF32 ? dtype : DType::kBF16;
  MemoryPlan plan;
  for (LayerCache& layer : layers_) {
    plan.add(layer.keys, {B, S, E}, cached);
    plan.add(layer.values, {B, S, E}, cached);
  }
  plan_activations(plan, activations_, c, rows_, dtype);
  plan_scratch(plan, scratch_, c, rows_, dtype, false);
  plan.add(tokens_, {rows_}, DType::kI32);
  plan.add(past_, {1}, DType::kI32);
  plan.add(x_, {rows_, E}, dtype);
  plan.add(y_, {rows_, E}, dtype);
  plan.add(last_, {B, E}, dtype);
  plan.add(stats_.mean, {B});
  plan.add(stats_.rstd, {B});
  plan.add(logits_, {B, c.vocab_size});
  memory_ = plan.allocate(device_);
}

LayerCache KVCache::layer(size_t l, int64_t first, int64_t count) const {
  return {layers_[l].keys.rows(first, count), layers_[l].values.rows(first, count)};
}

Tensor KVCache::logits() const {
  if (length_ == 0) throw Error("KVCache::logits(): the cache has no tokens yet; call begin() first");
  return logits_;
}

void KVCache::check_room(int64_t past, int64_t count) const {
  const int64_t S = model_.config().max_seq_len;
  if (count == 0 || past + count > S) {
    throw Error(fmt::format("{} + {} tokens do not fit a context of {}", past, count, S));
  }
}

void KVCache::set_length(int64_t length) {
  const auto past = static_cast<int32_t>(length);
  device_.copy_to_device(past_, &past);
  length_ = length;
}

Tensor KVCache::begin(std::span<const int32_t> tokens) {
  const auto length = static_cast<int64_t>(tokens.size());
  const int64_t S = model_.config().max_seq_len, E = model_.config().embed_dim;
  check_room(0, length);
  set_length(0);
  read(0, 1, tokens);
  for (int64_t b = 1; b < sequences_; ++b) {
    for (const LayerCache& layer : layers_) {
      for (const Tensor& all : {layer.keys, layer.values}) {
        const auto filled = [&](int64_t sequence) {
          return all.rows(sequence, 1).reshape({S, E}).rows(0, length);
        };
        device_.copy(filled(b), filled(0));
      }
    }
    device_.copy(logits_.rows(b, 1), logits_.rows(0, 1));
  }
  set_length(length);
  return logits_;
}

Tensor KVCache::extend(std::span<const int32_t> tokens) {
  const int64_t B = sequences_, T = static_cast<int64_t>(tokens.size()) / B;
  if (static_cast<int64_t>(tokens.size()) != B * T) {
    throw Error(fmt::format("{} cannot be split equally among {} sequences: pass a multiple of {}",
                            counted(tokens.size(), "token"), B, B));
  }
  check_room(length_, T);
  set_length(length_);
  const int64_t at_once = std::max<int64_t>(1, rows_ / T);
  for (int64_t first = 0; first < B; first += at_once) {
    const int64_t count = std::min(at_once, B - first);
    read(first, count, tokens.subspan(static_cast<size_t>(first * T), static_cast<size_t>(count * T)));
  }
  set_length(length_ + T);
  return logits_;
}

void KVCache::capture_append(Tensor tokens, std::function<void(Tensor logits)> use) {
  if (tokens.dtype() != DType::kI32 || tokens.rank() != 2 || tokens.dim(0) != sequences_ ||
      tokens.dim(1) != 1) {
    throw Error(
        fmt::format("tokens to append are {}, but must be i32 [{},1]", to_string(tokens), sequences_));
  }
  append_ = device_.capture([this, tokens, use = std::move(use)] {
    forward(0, tokens);
    device_.increment(past_);
    use(logits_);
  });
}

void KVCache::append() {
  if (!append_) throw Error("append() has no captured step: call capture_append() first");
  if (length_ == 0) throw Error("append() needs sequences with tokens: call begin() first");
  check_room(length_, 1);
  append_->replay();
  ++length_;
}

void KVCache::read(int64_t first, int64_t count, std::span<const int32_t> tokens) {
  model_.config().check_tokens(tokens, "tokens of a sequence");
  const auto size = static_cast<int64_t>(tokens.size());
  const Tensor ids = tokens_.rows(0, size);
  device_.copy_to_device(ids, tokens.data());
  forward(first, ids.reshape({count, size / count}));
}

void KVCache::forward(int64_t first, Tensor tokens) {
  const GPTWeights& w = model_.operands();
  const int64_t count = tokens.dim(0), T = tokens.dim(1), rows = count * T;
  Tensor x = x_.rows(0, rows), y = y_.rows(0, rows);
  device_.embedding(x, tokens, w.wte, w.wpe, past_);
  // All layers share one set of activations, and so one tensor for their normalised input.
  const LayerActivations activations = activations_.first(rows, model_.config().num_heads);
  const LayerScratch scratch = scratch_.first(rows);
  const std::vector<TransformerLayer>& layers = model_.layers();
  const bool decodes = T == 1 && count <= kDecodedTogether && model_.has_folded_norms();
  const auto norm_before = [&](size_t l) {
    return l < layers.size() ? layers[l].input_norm(activations) : ResidualNorm{};
  };
  const ResidualNorm first_norm = norm_before(0);
  if (!decodes) device_.layernorm(first_norm.y, first_norm.stats, x, first_norm.norm);
  for (size_t l = 0; l < layers.size(); ++l) {
    const LayerCache cache = layer(l, first, count);
    if (decodes) {
      layers[l].decode(y, x, cache, past_, activations);
    } else {
      layers[l].forward_cached(y, norm_before(l + 1), x, cache, past_, activations, scratch);
    }
    std::swap(x, y);
  }

  Tensor last = x;
  if (T > 1) {
    last = last_.rows(0, count);
    for (int64_t n = 0; n < count; ++n) device_.copy(last.rows(n, 1), x.rows((n + 1) * T - 1, 1));
  }
  if (model_.config().final_layernorm) {
    const Tensor normed = y.rows(0, count);
    device_.layernorm(normed, {stats_.mean.rows(0, count), stats_.rstd.rows(0, count)}, last, w.final_norm);
    last = normed;
  }
  const Tensor logits = logits_.rows(first, count);
  if (decodes) return device_.fused_linear(logits, {}, last, false, w.head, Activation::kNone);
  device_.linear(logits, last, w.head, Activation::kNone, {});
}

}  // namespace hipgpt
