// Exercise: the loss of a language model.   Guide: chapter 3, src/data/README.md
//
//   losses[i] = log sum_j exp(z[i,j]) - z[i,target[i]]
//
// for each of `rows` rows: how surprised the model is by the token that came. Shapes: logits z [rows,V],
// targets [rows], losses [rows]. Some logits are near 1000, and exp(1000) is infinite: what may you subtract
// from a row without changing its softmax?
//
// Empty, it prints
// > cross_entropy: 40 of 40 elements are wrong; the first is losses[0] = nan (nobody wrote it)
//
// Check it with ./scripts/exercise.sh cross_entropy
#include <cmath>
#include <vector>

using Values = std::vector<double>;

void cross_entropy(const Values& logits, const std::vector<int>& targets, int rows, int V, Values& losses) {
  // Write your code here.
}
