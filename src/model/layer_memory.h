// The memory of a layer for R rows, as entries of a MemoryPlan.
#pragma once

#include "model/memory_plan.h"
#include "transformer_layer.h"

namespace hipgpt {

inline void plan_activations(MemoryPlan& plan, LayerActivations& a, const ModelConfig& c, int64_t rows,
                             DType dtype) {
  const int64_t E = c.embed_dim, F = c.ff_hidden_dim;
  plan.add(a.ln1, {rows, E}, dtype);
  plan.add(a.ln1_stats.mean, {rows});
  plan.add(a.ln1_stats.rstd, {rows});
  plan.add(a.qkv, {rows, 3 * E}, dtype);
  plan.add(a.attention, {rows, E}, dtype);
  plan.add(a.lse, {rows * c.num_heads});
  plan.add(a.residual_mid, {rows, E}, dtype);
  plan.add(a.ln2, {rows, E}, dtype);
  plan.add(a.ln2_stats.mean, {rows});
  plan.add(a.ln2_stats.rstd, {rows});
  plan.add(a.ff, {rows, F}, dtype);
  plan.add(a.ff_slope, {rows, F}, dtype);
}

inline void plan_scratch(MemoryPlan& plan, LayerScratch& s, const ModelConfig& c, int64_t rows, DType dtype,
                         bool with_gradients) {
  const int64_t E = c.embed_dim;
  plan.add(s.branch, {rows, E}, dtype);
  if (!with_gradients) return;
  plan.add(s.dbranch, {rows, E}, dtype);
  plan.add(s.dln, {rows, E}, dtype);
  plan.add(s.dqkv, {rows, 3 * E}, dtype);
  plan.add(s.dff, {rows, c.ff_hidden_dim}, dtype);
}

}  // namespace hipgpt
