// What the checks of exercises on the emulated GPU share.
#pragma once

#include <cstdlib>

#include "checks/check.h"
#include "checks/counters.h"
#include "gpu.h"

namespace exercise {

/// An array in device memory. Reads and writes of a kernel are counted if `counted`.
class Array {
 public:
  /// Unwritten.
  explicit Array(size_t count, bool counted = true) : count_(count) {
    if (hipMalloc(&data_, count * sizeof(float)) != hipSuccess) std::abort();
    add_array(data_, count * sizeof(float), counted);
  }
  explicit Array(const Values& values, bool counted = true) : Array(values.size(), counted) {
    for (size_t i = 0; i < count_; ++i) floats()[i] = static_cast<float>(values[i]);
  }
  ~Array() {
    remove_array(data_);
    (void)hipFree(data_);
  }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  Float* data() { return data_; }
  std::vector<float> values() { return {floats(), floats() + count_}; }

 private:
  float* floats() { return reinterpret_cast<float*>(data_); }

  Float* data_ = nullptr;
  size_t count_;
};

/// Rounds to float, as the copy to the GPU does. Expected values are computed from these.
inline Values as_floats(Values values) {
  for (double& v : values) v = static_cast<float>(v);
  return values;
}

/// Calls run(), which launches a kernel and checks its result, with the threads of each block in ascending
/// order and then in shuffled orders. Returns the counts of the first run in `result`.
template <typename F>
bool right_in_every_order(Counts& result, const F& run) {
  setenv("HIPGPT_EMULATED_THREADS", "1", 1);  // the counters belong to one OS thread
  for (uint64_t seed = 0; seed < 4; ++seed) {
    hipgpt::emulated::set_shuffle_seed(seed);
    start_counting();
    if (!run()) {
      if (seed > 0) {
        std::printf("%s: with the threads in ascending order it is right; is a __syncthreads() missing?\n",
                    HIPGPT_EXERCISE);
      }
      return false;
    }
    if (seed == 0) result = counts();
  }
  return true;
}

inline std::string decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

/// "2" or "2.5": without a decimal if it is zero.
inline std::string short_decimal(double value) {
  std::string text = decimal(value);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

inline std::string lines_text(const char* verb, const Traffic& traffic) {
  std::string each = decimal(traffic.lines_each());
  if (each.size() < 4) each.insert(0, 1, ' ');
  return std::string(verb) + " " + each + " lines of 128 bytes each (best " +
         short_decimal(traffic.best_each()) + ")";
}

inline std::string turns_text(const SharedTraffic& traffic) {
  std::string each = decimal(traffic.turns_each());
  if (each.size() < 4) each.insert(0, 1, ' ');
  return "shared memory takes " + each + " turns each (best 1)";
}

/// Within a tenth of the best.
inline bool coalesced(const Traffic& traffic) {
  return traffic.lines_each() <= 1.1 * traffic.best_each();
}

/// Reports a right result with what it cost. `step_left` is what remains to do, or empty. Returns the exit
/// status.
inline int finish(const std::string& cost, const std::string& step_left) {
  std::printf("%s: right     %s%s\n", HIPGPT_EXERCISE, cost.c_str(),
              step_left.empty() ? (cost.empty() ? "done" : "     done") : "");
  if (!step_left.empty()) std::printf("%s: one step is left: %s\n", HIPGPT_EXERCISE, step_left.c_str());
  return step_left.empty() ? 0 : 1;
}

}  // namespace exercise
