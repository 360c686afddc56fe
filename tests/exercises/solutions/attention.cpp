// Row by row: scores, softmax, the weighted sum of the values. See tests/exercises/attention.cpp for the
// task.
// > attention: right     done
#include <cmath>
#include <vector>

using Values = std::vector<double>;

void attention(const Values& q, const Values& k, const Values& v, int T, int D, Values& o) {
  for (int i = 0; i < T; ++i) {
    Values p(i + 1);
    double largest = -INFINITY, total = 0;
    for (int j = 0; j <= i; ++j) {
      for (int d = 0; d < D; ++d) p[j] += q[i * D + d] * k[j * D + d] / std::sqrt(D);
      largest = std::fmax(largest, p[j]);
    }
    for (int j = 0; j <= i; ++j) total += p[j] = std::exp(p[j] - largest);
    for (int d = 0; d < D; ++d) {
      o[i * D + d] = 0;
      for (int j = 0; j <= i; ++j) o[i * D + d] += p[j] / total * v[j * D + d];
    }
  }
}
