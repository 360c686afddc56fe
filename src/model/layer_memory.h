// The memory of a layer for R rows, as entries of a MemoryPlan.
#pragma once

#include "model/memory_plan.h"
#include "transformer_layer.h"

namespace hipgpt {

inline void plan_activations(MemoryPlan& plan, LayerActivations& a, const ModelConfig& c, int64_t rows) {
  const int64_t E = c.embed_dim, F = c.ff_hidden_dim;
  plan.add(a.ln1, {rows, E});
  plan.add(a.ln1_stats.mean, {rows});
  plan.add(a.ln1_stats.rstd, {rows});
  plan.add(a.qkv, {rows, 3 * E});
  plan.add(a.attention, {rows, E});
  plan.add(a.lse, {rows * c.num_heads});
  plan.add(a.residual_mid, {rows, E});
  plan.add(a.ln2, {rows, E});
  plan.add(a.ln2_stats.mean, {rows});
  plan.add(a.ln2_stats.rstd, {rows});
  plan.add(a.ff_pre, {rows, F});
  plan.add(a.ff, {rows, F});
}

inline void plan_scratch(MemoryPlan& plan, LayerScratch& s, const ModelConfig& c, int64_t rows,
                         bool with_gradients) {
  const int64_t E = c.embed_dim;
  plan.add(s.branch, {rows, E});
  if (!with_gradients) return;
  plan.add(s.dbranch, {rows, E});
  plan.add(s.dln, {rows, E});
  plan.add(s.dqkv, {rows, 3 * E});
  plan.add(s.dff, {rows, c.ff_hidden_dim});
}

}  // namespace hipgpt
