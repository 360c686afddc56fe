// Exercise: one step of AdamW.   Guide: chapter 9, src/training/README.md
//
// Step t (counted from 1) updates n parameters p with gradients g and moments m, v:
//   m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
//   p = p - lr ((m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps) + decay p)
//
// Shapes: p, m, v, g [n]. The check takes five steps. Take b1 = 0.9, b2 = 0.95, eps = 1e-8.
//
// Empty, it prints
// > adamw: 200 of 200 elements are wrong; the first is m[0] = 0, and should be 0.229874
//
// Check it with ./scripts/exercise.sh adamw
#include <cmath>
#include <vector>

using Values = std::vector<double>;

void adamw(Values& p, Values& m, Values& v, const Values& g, int n, double lr, int t, double decay) {
  // Write your code here.
}
