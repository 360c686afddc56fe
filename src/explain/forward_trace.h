// ForwardTrace: everything that one forward pass computed, on the host.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "device/timing_device.h"
#include "gpt_model.h"

namespace hipgpt {

/// A row of something for each token.
struct Rows {
  int64_t width = 0;
  std::vector<float> values;  // [T,width]

  std::span<const float> row(int64_t t) const {
    return std::span(values).subspan(static_cast<size_t>(t * width), static_cast<size_t>(width));
  }
};

/// A part of the model, and what it added to the residual stream.
struct StreamPart {
  std::string name;   ///< such as "layer 0 head 2"
  bool every = true;  ///< false: it added the same row for every token
  Rows rows;          ///< [T,E] or, if not for every token, [1,E]

  std::span<const float> row(int64_t t) const { return rows.row(every ? t : 0); }
};

/// The forward pass of one sequence of T tokens. The parts add up to the last row of the stream, but for the
/// rounding of the device.
struct ForwardTrace {
  int64_t tokens = 0;               ///< T
  std::vector<std::string> places;  ///< [2L+1], "embedding", "attention 0", "feed-forward 0", ...
  std::vector<Rows> stream;         ///< [2L+1] of [T,E], the residual stream at each place
  std::vector<Rows> qkv;            ///< [L] of [T,3E], the queries, keys and values of each layer
  std::vector<Rows> attention;      ///< [L] of [T,E], the output of every head, side by side
  Rows logits;                      ///< [T,V]
  std::vector<StreamPart> parts;
};

/// Receives the logits [T,V] that the head makes of the residual stream at a place: the logit lens.
using OnLens = std::function<void(const Rows& logits)>;

/// Runs the model's own layers on its own device, then reads their results. `on_lens` hears of every place in
/// order. Throws Error unless T is from 1 to S and every token is in the vocabulary.
ForwardTrace trace_forward(
    const GPTModel& model, std::span<const int32_t> tokens, const OnLens& on_lens = [](const Rows&) {});

/// The operations of this forward pass, in order, each with the median of its time in a few passes. `timing`
/// must be the model's device.
std::vector<TimingDevice::Call> time_forward(const GPTModel& model, std::span<const int32_t> tokens,
                                             TimingDevice& timing);

/// What these operations are, in the same order: "layer 0 attention".
std::vector<std::string> forward_labels(const ModelConfig& config);

/// The weights with which each token looked at the tokens before it: a[i][j] = softmax_j(q_i . k_j / sqrt(D))
/// for j <= i, in rows of 1, 2, ... T. No kernel stores them; this computes them again from Q and K.
std::vector<std::vector<double>> attention_weights(const Rows& qkv, int64_t heads, int64_t head);

}  // namespace hipgpt
