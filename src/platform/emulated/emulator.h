// What a kernel calls when it runs on the CPU: the seam between hip/hip_runtime.h, which every kernel file
// includes, and the emulator (README.md).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <tuple>
#include <utility>

#include "hip/hip_runtime_api.h"

#if HIPGPT_WAVE_SIZE != 32 && HIPGPT_WAVE_SIZE != 64
#error "The emulated platform needs -DHIPGPT_WAVE_SIZE=32 or 64"
#endif

namespace hipgpt::emulated {

/// Memory that nobody wrote holds this word: a NaN as float, as double, and in each half as bf16 and fp16;
/// far outside any array as an index.
constexpr uint32_t kPoison = 0x7FFA7FFA;
constexpr uint64_t kPoison64 = uint64_t{kPoison} << 32 | kPoison;

constexpr int kMaxBlockThreads = 1024;
constexpr size_t kMaxSharedBytes = 48 * 1024;
constexpr size_t kMaxDynamicBytes = 160 * 1024;  ///< that hipFuncSetAttribute() allows a kernel

/// Which thread of which kernel this OS thread is running: for messages, and for a look in a debugger.
struct Current {
  const char* kernel = nullptr;  ///< null outside of kernels
  uint64_t block_serial = 0;     ///< a different number for every block that this OS thread runs
  int lane = 0;                  ///< of the wave
};
extern thread_local constinit Current current;

/// A line of a kernel: where a thread waits.
struct Site {
  const char* file;
  int line;
};

/// Returns when every thread of the block that has not left the kernel is here.
void barrier(Site site);

/// What the lanes of a wave brought to a rendezvous.
struct Lanes {
  uint64_t values[HIPGPT_WAVE_SIZE];
  uint64_t present;  ///< bit i: lane i came. The value of a lane that did not is poison.
};

/// Returns when every lane of the wave that has not left the kernel is here. The result is valid until the
/// lane's next rendezvous.
const Lanes& meet(uint64_t value, Site site);

/// The name of the shared memory whose size a launch gives.
inline constexpr const char* kDynamicName = "dynamic";

/// An array in shared memory: one static thread_local variable at each HIPGPT_SHARED, so one for each OS
/// thread, which runs one block at a time.
class SharedArray {
 public:
  SharedArray(const char* name, size_t bytes);
  ~SharedArray();
  SharedArray(const SharedArray&) = delete;
  SharedArray& operator=(const SharedArray&) = delete;

  /// The first thread of a block that comes here finds the array full of poison.
  void enter() {
    if (block_serial_ != current.block_serial) begin_block();
  }

  const char* name() const { return name_; }
  bool is_dynamic() const { return name_ == kDynamicName; }
  size_t bytes() const { return bytes_; }
  char* data() const { return memory_ + kGuardBytes; }

  /// Whether nobody wrote beside the array.
  bool guards_intact() const;
  bool guards_hold(const void* address) const;

 private:
  static constexpr size_t kGuardBytes = 256;

  void begin_block();

  const char* name_;
  size_t bytes_;
  char* memory_;  ///< guard, array, guard
  uint64_t block_serial_ = 0;
};

/// The shared memory whose size the launch gives, for HIPGPT_DYNAMIC_SHARED.
char* dynamic_shared();

/// Runs the kernel, or records it if the stream is being captured.
void launch(const char* name, const void* kernel, dim3 grid, dim3 block, size_t shared_bytes,
            hipStream_t stream, std::function<void()> body);

template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
            hipStream_t stream, Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "a kernel takes all its arguments");
  std::tuple<Parameters...> values(std::forward<Arguments>(arguments)...);
  launch(name, reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, stream,
         [kernel, values = std::move(values)] { std::apply(kernel, values); });
}

/// Seed of the order in which the threads of a block run between barriers, and the blocks of a grid: 0 is
/// ascending. Starts as HIPGPT_EMULATED_SHUFFLE. The same seed and the same launches since give the same
/// order.
void set_shuffle_seed(uint64_t seed);

}  // namespace hipgpt::emulated
