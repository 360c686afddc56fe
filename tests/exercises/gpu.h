// What an exercise on the emulated GPU includes: HIP, and numbers that count how they are read and written.
//
// A Float is a float in device or shared memory. It converts to a float and from one, so a kernel uses it
// like a float: `y[i] = 2 * x[i]`. Local variables are plain floats: `float sum = x[i]`. A Float4 is four
// floats that one instruction reads or writes:
//     const float4 v = reinterpret_cast<const Float4*>(x)[i];
//
// HIPGPT_SHARED(Float, tile, [32][33]) declares `Float tile[32][33]`, which the threads of a block share.
#pragma once

#include <hip/hip_runtime.h>

#include <cstddef>

namespace exercise {

/// Counts one access of the running thread.
void count_access(const void* address, size_t bytes, bool is_write);

template <typename T>
class Counted {
 public:
  Counted(const Counted&) = delete;  // a local variable is a float: `float v = x[i]`, not `auto v = x[i]`

  // Inlined, so that each access in a kernel has an address of its own in the machine code.
  [[gnu::always_inline]] operator T() const {
    count_access(this, sizeof(T), false);
    return value_;
  }
  [[gnu::always_inline]] Counted& operator=(T value) {
    count_access(this, sizeof(T), true);
    value_ = value;
    return *this;
  }
  [[gnu::always_inline]] Counted& operator=(const Counted& other) { return *this = static_cast<T>(other); }
  [[gnu::always_inline]] Counted& operator+=(T value) { return *this = static_cast<T>(*this) + value; }

 private:
  T value_;
};

}  // namespace exercise

using Float = exercise::Counted<float>;
using Float4 = exercise::Counted<float4>;
