// Compares every operation of a device with the CPU's, on the user's own machine, for --check-device.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "device.h"

namespace hipgpt {

/// The result for one operation.
struct OperationReport {
  std::string name;     ///< of the operation, and " bf16" after it for its version with matrices in bf16
  double error;         ///< largest difference from the CPU's result, relative to its largest value
  double tolerance;     ///< the largest error that rounding explains
  double seconds;       ///< median of one call
  double bytes, flops;  ///< bytes moved and operations done, by formula

  bool agrees() const { return error <= tolerance; }  // false for NaN
};

struct DeviceReport {
  std::string description;
  double copy_bytes_per_second;  ///< bytes read and written by a large copy: the memory's speed
  std::vector<OperationReport> operations;

  bool agrees() const;
};

/// The sizes of the comparison, by the letters of operations.h.
struct ComparisonSizes {
  int64_t B = 4, T = 512, E = 768, H = 12, F = 3072, V = 50257, S = 1024;
  int64_t N = 16384;  ///< rows of operations bound by memory, a multiple of T
};

/// Runs every operation on `device` and on the CPU with the same input. With the default sizes this takes
/// at most 20 seconds, mostly on the CPU. `done` receives each operation's report as soon as it is measured.
DeviceReport compare_with_cpu(Device& device, const ComparisonSizes& sizes, int cpu_threads,
                              const std::function<void(const OperationReport&)>& done = {});

/// One line, such as "layernorm ok 1.2e-07 (at most 2e-05) 12.3 us 2000.0 GB/s, 83 % of a copy", in columns.
std::string line_of(const OperationReport& operation, double copy_bytes_per_second);

/// The whole report as text, for a bug report.
std::string text_of(const DeviceReport& report);

}  // namespace hipgpt
