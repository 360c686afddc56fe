// The functions that a kernel calls when it runs on the CPU: the interface between hip/hip_runtime.h, which
// every kernel file includes, and the emulator (README.md).
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

/// Uninitialised memory holds this word. It is a NaN as float, as double, and in each half as bf16 and fp16;
/// as an index, it is far outside any array.
constexpr uint32_t kPoison = 0x7FFA7FFA;
constexpr uint64_t kPoison64 = uint64_t{kPoison} << 32 | kPoison;

constexpr int kMaxBlockThreads = 1024;
constexpr size_t kMaxSharedBytes = 48 * 1024;
constexpr size_t kMaxDynamicBytes = 160 * 1024;  ///< that hipFuncSetAttribute() allows a kernel

/// Which thread of which kernel this OS thread is running, for messages and debuggers.
struct Current {
  const char* kernel = nullptr;  ///< null outside of kernels
  uint64_t block_serial = 0;     ///< unique for every block that this OS thread runs
  int lane = 0;                  ///< lane of its wave
};
extern thread_local constinit Current current;

/// The line of a kernel where a thread waits.
struct Site {
  const char* file;
  int line;
};

/// Returns when every thread of the block has arrived here or left the kernel.
void barrier(Site site);

/// The values of a wave's lanes at a rendezvous.
struct Lanes {
  uint64_t values[HIPGPT_WAVE_SIZE];
  uint64_t present;  ///< bit i: lane i is present. The value of an absent lane is poison.
};

/// Returns when every lane of the wave has arrived here or left the kernel. The result is valid until the
/// lane's next rendezvous.
const Lanes& meet(uint64_t value, Site site);

/// The name of the shared memory whose size a launch gives.
inline constexpr const char* kDynamicName = "dynamic";

/// An array in shared memory. Each HIPGPT_SHARED has a static thread_local one, because each OS thread runs
/// one block at a time.
class SharedArray {
 public:
  SharedArray(const char* name, size_t bytes);
  ~SharedArray();
  SharedArray(const SharedArray&) = delete;
  SharedArray& operator=(const SharedArray&) = delete;

  /// Fills the array with poison when the first thread of a block arrives.
  void enter() {
    if (block_serial_ != current.block_serial) begin_block();
  }

  const char* name() const { return name_; }
  bool is_dynamic() const { return name_ == kDynamicName; }
  size_t bytes() const { return bytes_; }
  char* data() const { return memory_ + kGuardBytes; }

  /// Whether the memory next to the array is unchanged.
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

/// Runs the kernel, or records it if the stream is capturing.
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

/// Sets the seed for the order of a grid's blocks and of a block's threads between barriers; 0 means
/// ascending. The initial seed is HIPGPT_EMULATED_SHUFFLE. The same seed, followed by the same launches,
/// gives the same order.
void set_shuffle_seed(uint64_t seed);

}  // namespace hipgpt::emulated
