// Measures how fast a device runs operations and how fast it could run them.
#pragma once

#include <algorithm>
#include <functional>

#include "device.h"

namespace hipgpt {

/// The median time of one call of f, in seconds, measured by replaying graphs that take a few milliseconds.
double seconds_of(Device& device, const std::function<void()>& f);

/// Bytes read and written per second by a copy of this many floats: the speed of the memory.
double copy_speed(Device& device, int64_t floats);

/// The two limits of a device: the roofline model (Williams, Waterman & Patterson, CACM 2009). An operation
/// of f FLOP that moves b bytes takes at least max(f / flops_per_second, b / bytes_per_second).
struct Roofline {
  double flops_per_second = 0.0;
  double bytes_per_second = 0.0;

  double shortest(double flops, double bytes) const {
    return std::max(flops / flops_per_second, bytes / bytes_per_second);
  }
};

/// Measures both limits in under a second: the speed of a copy of 64 MiB, and that of a square matrix product
/// in `dtype`, as large as the device computes in some 10 ms.
Roofline measure_roofline(Device& device, DType dtype);

}  // namespace hipgpt
