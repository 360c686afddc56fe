// Exercise: causal attention of one head.   Guide: chapter 6, src/model/attention.md
//
//   s[i,j] = q_i . k_j / sqrt(D) for j <= i     (a token sees itself and those before it)
//   p[i,j] = exp(s[i,j]) / sum_{j <= i} exp(s[i,j])
//   o_i    = sum_{j <= i} p[i,j] v_j
//
// Shapes: q, k, v, o [T,D]; q_i is row i of q. Some scores are near 1000: subtract the largest of a row
// first.
//
// Empty, it prints
// > attention: 240 of 240 elements are wrong; the first is o[0,0] = nan (nobody wrote it)
//
// Check it with ./scripts/exercise.sh attention
#include <cmath>
#include <vector>

using Values = std::vector<double>;

void attention(const Values& q, const Values& k, const Values& v, int T, int D, Values& o) {
  // Write your code here.
}
