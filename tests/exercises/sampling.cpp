// Exercise: draw the next token.   Guide: chapter 10, src/generation/writing.md
//
// Returns a token, token j with probability
//   exp(z[j] / temperature) / sum over the top_k likeliest tokens,     or 0 if j is not among them.
//
// u is uniform in [0, 1): give each of these tokens a part of that interval, as long as its probability, and
// return the token into whose part u falls. Shapes: logits z [V]. No two logits are equal. The check draws
// 100,000 times and compares the frequencies.
//
// Empty, it prints
// > sampling: token -1 was drawn; only 0 to 9 exist
//
// Check it with ./scripts/exercise.sh sampling
#include <algorithm>
#include <cmath>
#include <vector>

using Values = std::vector<double>;

int sample(const Values& logits, double temperature, int top_k, double u) {
  // Write your code here.
  return -1;
}
