// Backwards through the steps of each row. See tests/exercises/attention_backward.cpp for the task.
// > attention_backward: right     done
#include <cmath>
#include <vector>

using Values = std::vector<double>;

void attention_backward(const Values& q, const Values& k, const Values& v, const Values& p,
                        const Values& dout, int T, int D, Values& dq, Values& dk, Values& dv) {
  dq.assign(T * D, 0);
  dk.assign(T * D, 0);
  dv.assign(T * D, 0);
  for (int i = 0; i < T; ++i) {
    Values dp(i + 1);
    double mean = 0;  // of dp, weighted by p
    for (int j = 0; j <= i; ++j) {
      for (int d = 0; d < D; ++d) {
        dv[j * D + d] += p[i * T + j] * dout[i * D + d];
        dp[j] += dout[i * D + d] * v[j * D + d];
      }
      mean += p[i * T + j] * dp[j];
    }
    for (int j = 0; j <= i; ++j) {
      const double ds = p[i * T + j] * (dp[j] - mean) / std::sqrt(D);
      for (int d = 0; d < D; ++d) {
        dq[i * D + d] += ds * k[j * D + d];
        dk[j * D + d] += ds * q[i * D + d];
      }
    }
  }
}
