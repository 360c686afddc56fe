// The whole model in double precision, forward and backward, built from the reference operations. The
// parameters are one flat array in the model's layout.
#pragma once

#include <fmt/format.h>

#include "model/weight_places.h"
#include "operations/reference.h"

namespace hipgpt::reference {

/// The factor by which dropout multiplies an element of a row, at one dropout site of the model. Site 0 is
/// the embedding; sites 1 + 3 l + 0, 1 and 2 are layer l's attention probabilities, attention branch and
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
    return sum(losses) / static_cast<double>(losses.size());
  }

  Values logits(const Values& parameters, const std::vector<int32_t>& tokens, int64_t batch,
                const SiteFactor& factor = without_dropout) const {
    return forward(parameters, tokens, batch, factor).logits;
  }

  /// The gradient of loss() with respect to the parameters, in the same layout.
  Values gradients(const Values& p, const std::vector<int32_t>& tokens, const std::vector<int32_t>& targets,
                   int64_t B, const SiteFactor& factor = without_dropout) const {
    const Saved saved = forward(p, tokens, B, factor);
    const int64_t rows = static_cast<int64_t>(tokens.size()), T = rows / B, E = config_.embed_dim;
    const int64_t V = config_.vocab_size, F = config_.ff_hidden_dim;
    Values g(p.size(), 0.0);

    const Values dlogits = cross_entropy_backward(saved.logits, targets, 1.0 / static_cast<double>(rows));
    const char* head = config_.tied_head ? "transformer.wte.weight" : "lm_head.weight";
    LinearGradients of_head = linear_backward(saved.head_input, get(p, head), true, dlogits, rows, E, V);
    add(g, head, of_head.dw);
    if (config_.head_bias) add(g, "lm_head.bias", of_head.db);
    Values dx = of_head.dx;
    if (config_.final_layernorm) dx = through_norm(g, p, "transformer.ln_f", saved.x, dx);

    for (int l = config_.num_layers - 1; l >= 0; --l) {
      const Layer& s = saved.layers[static_cast<size_t>(l)];
      const uint32_t site = 1 + 3 * static_cast<uint32_t>(l);
      const std::string name = fmt::format("transformer.h.{}.", l);
      // x_out = x_mid + dropout(branch(LN2(x_mid))): dx reaches x_mid directly and through the branch.
      Values d = through_linear(g, p, name + "mlp.c_proj", s.hidden, dropped(dx, E, factor, site + 2), F, E);
      for (size_t i = 0; i < d.size(); ++i) d[i] *= activation_slope(config_.activation, s.pre[i]);
      d = through_linear(g, p, name + "mlp.c_fc", s.n2, d, E, F);
      dx = plus(dx, through_norm(g, p, name + "ln_2", s.x_mid, d));
      // The same for x_mid = x_in + dropout(branch(LN1(x_in))).
      d = through_linear(g, p, name + "attn.c_proj", s.attended, dropped(dx, E, factor, site + 1), E, E);
      d = attention_backward(s.qkv, d, B, T, config_.num_heads, E, of_probabilities(factor, site, T));
      d = through_linear(g, p, name + "attn.c_attn", s.n1, d, E, 3 * E);
      dx = plus(dx, through_norm(g, p, name + "ln_1", s.x_in, d));
    }
    const auto of_embedding =
        embedding_backward(tokens, dropped(dx, E, factor, 0), T, V, config_.max_seq_len, E);
    add(g, "transformer.wte.weight", of_embedding.dwte);
    add(g, "transformer.wpe.weight", of_embedding.dwpe);
    return g;
  }

 private:
  /// What the backward pass of a layer reads from its forward pass.
  struct Layer {
    Values x_in, n1, qkv, attended;  // [rows,E], [rows,E], [rows,3E], [rows,E]
    Values x_mid, n2, pre, hidden;   // [rows,E], [rows,E], [rows,F], [rows,F]
  };
  struct Saved {
    std::vector<Layer> layers;
    Values x, head_input, logits;  // [rows,E], [rows,E], [rows,V]
  };

  static double without_dropout(uint32_t, int64_t, int64_t) { return 1.0; }

  Saved forward(const Values& p, const std::vector<int32_t>& tokens, int64_t B,
                const SiteFactor& factor) const {
    const int64_t rows = static_cast<int64_t>(tokens.size()), T = rows / B, E = config_.embed_dim;
    const int64_t F = config_.ff_hidden_dim;
    const Values wte = get(p, "transformer.wte.weight"), wpe = get(p, "transformer.wpe.weight");
    Saved saved;
    Values x = dropped(embedding(tokens, wte, wpe, T, E), E, factor, 0);
    for (int l = 0; l < config_.num_layers; ++l) {
      const uint32_t site = 1 + 3 * static_cast<uint32_t>(l);
      const auto w = [&](const char* name) { return get(p, fmt::format("transformer.h.{}.{}", l, name)); };
      Layer s;
      s.x_in = x;
      s.n1 = layernorm(x, w("ln_1.weight"), w("ln_1.bias"));
      s.qkv = linear(s.n1, w("attn.c_attn.weight"), false, w("attn.c_attn.bias"), rows, E, 3 * E);
      s.attended = attention(s.qkv, B, T, config_.num_heads, E, of_probabilities(factor, site, T));
      const Values branch =
          linear(s.attended, w("attn.c_proj.weight"), false, w("attn.c_proj.bias"), rows, E, E);
      s.x_mid = plus(x, dropped(branch, E, factor, site + 1));
      s.n2 = layernorm(s.x_mid, w("ln_2.weight"), w("ln_2.bias"));
      s.pre = linear(s.n2, w("mlp.c_fc.weight"), false, w("mlp.c_fc.bias"), rows, E, F);
      s.hidden = s.pre;
      for (double& v : s.hidden) v = activation(config_.activation, v);
      const Values ff = linear(s.hidden, w("mlp.c_proj.weight"), false, w("mlp.c_proj.bias"), rows, F, E);
      x = plus(s.x_mid, dropped(ff, E, factor, site + 2));
      saved.layers.push_back(std::move(s));
    }
    saved.x = x;
    if (config_.final_layernorm)
      x = layernorm(x, get(p, "transformer.ln_f.weight"), get(p, "transformer.ln_f.bias"));
    saved.head_input = x;
    saved.logits = linear(x, config_.tied_head ? wte : get(p, "lm_head.weight"), true,
                          config_.head_bias ? get(p, "lm_head.bias") : Values{}, rows, E, config_.vocab_size);
    return saved;
  }

  static Values plus(Values a, const Values& b) {
    for (size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    return a;
  }

  /// Multiplies each element by its factor. This is dropout and also its backward pass.
  static Values dropped(Values x, int64_t width, const SiteFactor& factor, uint32_t site) {
    for (int64_t i = 0; i < static_cast<int64_t>(x.size()); ++i) x[i] *= factor(site, i / width, i % width);
    return x;
  }

  static DropoutFactor of_probabilities(const SiteFactor& factor, uint32_t site, int64_t T) {
    return [&factor, site, T](int64_t bh, int64_t i, int64_t j) { return factor(site, bh * T + i, j); };
  }

  /// Adds the gradients of weight and bias to g; returns the gradient of the input.
  Values through_linear(Values& g, const Values& p, const std::string& name, const Values& x,
                        const Values& dy, int64_t in, int64_t out) const {
    const int64_t rows = static_cast<int64_t>(x.size()) / in;
    LinearGradients gradients = linear_backward(x, get(p, name + ".weight"), false, dy, rows, in, out);
    add(g, name + ".weight", gradients.dw);
    add(g, name + ".bias", gradients.db);
    return gradients.dx;
  }

  Values through_norm(Values& g, const Values& p, const std::string& name, const Values& x,
                      const Values& dy) const {
    LayerNormGradients gradients = layernorm_backward(x, get(p, name + ".weight"), dy);
    add(g, name + ".weight", gradients.dw);
    add(g, name + ".bias", gradients.db);
    return gradients.dx;
  }

  Values get(const Values& p, const std::string& name) const {
    const WeightPlace place = weight_place(config_, name);
    return Values(p.begin() + place.offset, p.begin() + place.offset + place.size);
  }

  void add(Values& g, const std::string& name, const Values& part) const {
    const WeightPlace place = weight_place(config_, name);
    for (int64_t i = 0; i < place.size; ++i) g[place.offset + i] += part[i];
  }

  ModelConfig config_;
};

}  // namespace hipgpt::reference
