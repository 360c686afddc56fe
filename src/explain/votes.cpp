#include "explain/votes.h"

#include <cmath>
#include <numeric>

#include "model/host_values.h"

namespace hipgpt {

namespace {

template <typename Values>
double mean_of(const Values& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// 1/sqrt(var + 1e-5) of a row.
double rstd_of(std::span<const float> row) {
  const double mean = mean_of(row);
  double sum = 0.0;
  for (const float x : row) sum += (x - mean) * (x - mean);
  return 1.0 / std::sqrt(sum / static_cast<double>(row.size()) + 1e-5);
}

template <typename A, typename B>
double dot(const A& a, const B& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

}  // namespace

VoteCounter::VoteCounter(const GPTModel& model, const ForwardTrace& trace) : trace_(trace) {
  Device& device = model.device();
  const GPTWeights& w = model.operands();
  const ModelConfig& c = model.config();
  head_ = {c.embed_dim, values_of(device, w.head.weight)};
  mean_.assign(static_cast<size_t>(c.embed_dim), 0.0);
  for (int64_t v = 0; v < c.vocab_size; ++v) {
    const auto row = head_.row(v);
    for (size_t e = 0; e < row.size(); ++e) mean_[e] += row[e];
  }
  for (double& value : mean_) value /= c.vocab_size;
  for (const StreamPart& part : trace.parts) names_.push_back(part.name);
  if (c.final_layernorm) {
    gain_ = values_of(device, w.final_norm.weight);
    beta_ = values_of(device, w.final_norm.bias);
    names_.emplace_back("final LayerNorm bias");
  }
  if (c.head_bias) {
    bias_ = values_of(device, w.head.bias);
    mean_bias_ = mean_of(bias_);
    names_.emplace_back("head bias");
  }
}

Votes VoteCounter::count(int64_t t, int32_t v) const {
  const auto logits = trace_.logits.row(t);
  Votes votes;
  votes.logit = logits[static_cast<size_t>(v)];
  votes.mean_logit = mean_of(logits);

  std::vector<double> direction(mean_);  // W_v - mean_u W_u, then d_v
  const auto row = head_.row(v);
  for (size_t e = 0; e < direction.size(); ++e) direction[e] = row[e] - direction[e];
  double rstd = 1.0, of_beta = 0.0;
  if (!gain_.empty()) {
    of_beta = dot(direction, beta_);
    rstd = rstd_of(trace_.stream.back().row(t));
    for (size_t e = 0; e < direction.size(); ++e) direction[e] *= gain_[e];
    const double mean = mean_of(direction);
    for (double& value : direction) value -= mean;
  }

  for (const StreamPart& part : trace_.parts) votes.parts.push_back(rstd * dot(direction, part.row(t)));
  if (!gain_.empty()) votes.parts.push_back(of_beta);
  if (!bias_.empty()) votes.parts.push_back(bias_[static_cast<size_t>(v)] - mean_bias_);
  votes.rounding =
      votes.logit - votes.mean_logit - std::accumulate(votes.parts.begin(), votes.parts.end(), 0.0);
  return votes;
}

}  // namespace hipgpt
