// The largest error of a result, for comparisons of devices.
#pragma once

#include <algorithm>
#include <cmath>

namespace hipgpt {

/// The largest error of the elements of a result.
class LargestError {
 public:
  void add(double actual, double expected) {
    scale_ = std::max(scale_, std::abs(expected));
    const double error = std::abs(actual - expected);
    if (error > error_ || std::isnan(error)) error_ = error;  // nothing is larger than NaN, so NaN stays
  }

  /// The largest |actual - expected|, or NaN if an element is NaN.
  double absolute() const { return error_; }
  /// The largest |expected|.
  double scale() const { return scale_; }
  /// absolute() / scale(), also defined where all expected elements are zero.
  double relative() const { return error_ / std::max(scale_, 1e-30); }

 private:
  double error_ = 0.0;
  double scale_ = 0.0;
};

}  // namespace hipgpt
