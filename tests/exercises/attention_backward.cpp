// Exercise: the gradients of attention.   Guide: chapter 8, src/model/backward.md
//
// The forward pass has kept the probabilities p [T,T], where p[i,j] = 0 for j > i. do_i is the gradient of
// output o_i.
//   output:   dv_j = sum_i p[i,j] do_i,   dp[i,j] = do_i . v_j
//   softmax:  ds[i,j] = p[i,j] (dp[i,j] - sum_m p[i,m] dp[i,m])
//   scores:   dq_i = sum_j ds[i,j] k_j / sqrt(D),   dk_j = sum_i ds[i,j] q_i / sqrt(D)
//
// Shapes: q, k, v, dout, dq, dk, dv [T,D]. Nobody has set dq, dk and dv to zero.
//
// Empty, it prints
// > attention_backward: 240 of 240 elements are wrong; the first is dv[0,0] = nan (nobody wrote it)
//
// Check it with ./scripts/exercise.sh attention_backward
#include <cmath>
#include <vector>

using Values = std::vector<double>;

void attention_backward(const Values& q, const Values& k, const Values& v, const Values& p,
                        const Values& dout, int T, int D, Values& dq, Values& dk, Values& dv) {
  // Write your code here.
}
