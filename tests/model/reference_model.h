// The whole model in double precision, on the reference operations: parameters as one flat array in the
// model's layout.
#pragma once

#include <fmt/format.h>

#include "model/weight_places.h"
#include "operations/reference.h"

namespace hipgpt::reference {

/// The factor by which dropout multiplies an element of a row, at one of the places of a model where there is
/// dropout: site 0 is the embedding; 1 + 3 l + 0, 1 and 2 are layer l's probabilities, attention branch and
/// feed-forward branch.
using SiteFactor = std::function<double(uint32_t site, int64_t row, int64_t column)>;

class Model {
 public:
  explicit Model(const ModelConfig& config) : config_(config) {}

  /// Mean cross-entropy of predicting targets [B*T] from tokens [B,T].
  double loss(const Values& parameters, const std::vector<int32_t>& tokens,
              const std::vector<int32_t>& targets, int64_t batch,
              const SiteFactor& factor = without_dropout) const {
    const Values losses = cross_entropy(logits(parameters, tokens, batch, factor), targets);
    double total = 0;
    for (const double l : losses) total += l;
    return total / static_cast<double>(losses.size());
  }

  Values logits(const Values& p, const std::vector<int32_t>& tokens, int64_t B,
                const SiteFactor& factor = without_dropout) const {
    const int64_t rows = static_cast<int64_t>(tokens.size()), T = rows / B, E = config_.embed_dim;
    const int64_t F = config_.ff_hidden_dim, H = config_.num_heads;
    const Values wte = get(p, "transformer.wte.weight"), wpe = get(p, "transformer.wpe.weight");
    Values x(static_cast<size_t>(rows * E));
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t e = 0; e < E; ++e)
        x[i * E + e] = factor(0, i, e) * (wte[tokens[i] * E + e] + wpe[i % T * E + e]);
    }
    for (int l = 0; l < config_.num_layers; ++l) {
      const uint32_t site = 1 + 3 * static_cast<uint32_t>(l);
      const auto of_probability = [&](int64_t bh, int64_t i, int64_t j) {
        return factor(site, bh * T + i, j);
      };
      const auto add = [&](const Values& branch, uint32_t which) {
        for (int64_t i = 0; i < rows * E; ++i) x[i] += factor(site + which, i / E, i % E) * branch[i];
      };
      const auto w = [&](const char* name) { return get(p, fmt::format("transformer.h.{}.{}", l, name)); };
      const Values n1 = layernorm(x, w("ln_1.weight"), w("ln_1.bias"));
      const Values qkv = linear(n1, w("attn.c_attn.weight"), false, w("attn.c_attn.bias"), rows, E, 3 * E);
      add(linear(attention(qkv, B, T, H, E, of_probability), w("attn.c_proj.weight"), false,
                 w("attn.c_proj.bias"), rows, E, E),
          1);
      const Values n2 = layernorm(x, w("ln_2.weight"), w("ln_2.bias"));
      Values hidden = linear(n2, w("mlp.c_fc.weight"), false, w("mlp.c_fc.bias"), rows, E, F);
      for (double& v : hidden) v = activation(config_.activation, v);
      add(linear(hidden, w("mlp.c_proj.weight"), false, w("mlp.c_proj.bias"), rows, F, E), 2);
    }
    if (config_.final_layernorm)
      x = layernorm(x, get(p, "transformer.ln_f.weight"), get(p, "transformer.ln_f.bias"));
    const Values head = config_.tied_head ? wte : get(p, "lm_head.weight");
    return linear(x, head, true, config_.head_bias ? get(p, "lm_head.bias") : Values{}, rows, E,
                  config_.vocab_size);
  }

 private:
  static double without_dropout(uint32_t, int64_t, int64_t) { return 1.0; }

  Values get(const Values& p, const std::string& name) const {
    const WeightPlace place = weight_place(config_, name);
    return Values(p.begin() + place.offset, p.begin() + place.offset + place.size);
  }

  ModelConfig config_;
};

}  // namespace hipgpt::reference
