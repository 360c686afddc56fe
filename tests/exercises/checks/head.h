// The reference's layout of attention's inputs: Q, K and V of a token side by side.
#pragma once

#include "checks/check.h"

namespace exercise {

/// [T,3D] from q, k, v [T,D].
inline Values side_by_side(const Values& q, const Values& k, const Values& v, int T, int D) {
  Values qkv;
  for (int t = 0; t < T; ++t)
    for (const Values* part : {&q, &k, &v})
      qkv.insert(qkv.end(), part->begin() + t * D, part->begin() + (t + 1) * D);
  return qkv;
}

/// Part 0, 1 or 2 of qkv [T,3D], as [T,D].
inline Values part(const Values& qkv, int number, int T, int D) {
  Values result;
  for (int t = 0; t < T; ++t)
    for (int d = 0; d < D; ++d) result.push_back(qkv[(3 * t + number) * D + d]);
  return result;
}

}  // namespace exercise
