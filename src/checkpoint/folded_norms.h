// LayerNorms folded into the linear layers after them, for models that only generate.
//
// With n = (x - mean) rstd, weight g and bias s of the LayerNorm, and W [in,out] and b of the layer,
//   (n g + s) W + b = n W' + b',   W'[k,j] = g_k W[k,j],   b'_j = b_j + sum_k s_k W[k,j],
// and subtracting the mean over k from each column of W' changes nothing, because the sum of n is 0. Then the mean
// of x has no effect either: n W' = rstd x W'. What is left of the LayerNorm is one factor per row.
#pragma once

#include <string>
#include <vector>

#include "stored_weights.h"

namespace hipgpt {

/// The values of a tensor of the folded model, in the layout of the file, if folding changes it; otherwise empty. The
/// weights of folded LayerNorms are 1 and their biases 0. The final LayerNorm stays.
std::vector<float> folded_values(const StoredWeights& weights, const std::string& name);

}  // namespace hipgpt
