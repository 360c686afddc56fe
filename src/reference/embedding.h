// Token and position embeddings (Vaswani et al., NeurIPS 2017; learned positions as in GPT-2).
#pragma once

#include "reference/values.h"

namespace hipgpt::reference {

/// y[b,t] = wte[token[b,t]] + wpe[first + t].   tokens [B,T], wte [V,E], wpe [S,E], y [B*T,E].
/// first + T must not exceed S.
inline Values embedding(const std::vector<int32_t>& tokens, const Values& wte, const Values& wpe, int64_t T,
                        int64_t E, int64_t first = 0) {
  Values y(tokens.size() * E);
  for (int64_t i = 0; i < static_cast<int64_t>(tokens.size()); ++i) {
    for (int64_t e = 0; e < E; ++e) y[i * E + e] = wte[tokens[i] * E + e] + wpe[(first + i % T) * E + e];
  }
  return y;
}

struct EmbeddingGradients {
  Values dwte;  ///< [V,E]
  Values dwpe;  ///< [S,E]
};

/// From dy [B*T,E], with first = 0:   dwte[token[b,t]] += dy[b,t],   dwpe[t] += dy[b,t], for all b and t.
/// A row that no token selects has gradient zero; a row that several tokens select receives their sum.
inline EmbeddingGradients embedding_backward(const std::vector<int32_t>& tokens, const Values& dy, int64_t T,
                                             int64_t V, int64_t S, int64_t E) {
  EmbeddingGradients g{Values(V * E, 0.0), Values(S * E, 0.0)};
  for (int64_t i = 0; i < static_cast<int64_t>(tokens.size()); ++i) {
    for (int64_t e = 0; e < E; ++e) {
      g.dwte[tokens[i] * E + e] += dy[i * E + e];
      g.dwpe[i % T * E + e] += dy[i * E + e];
    }
  }
  return g;
}

}  // namespace hipgpt::reference
