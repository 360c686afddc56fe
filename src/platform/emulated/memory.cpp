// The host side: memory.
//
// Device memory is host memory, so debuggers and AddressSanitizer treat it like any other. Allocations end at
// the exact byte. Without the sanitizer, guards around each allocation are checked for writes after each
// kernel.
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "platform/emulated/fault.h"
#include "platform/emulated/poison.h"
#include "platform/emulated/runtime.h"
#include "platform/emulated/sanitizer.h"
#include "util/host_memory.h"

using namespace hipgpt::emulated;

namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kGuardBytes = kAddressSanitizer ? 0 : kAlignment;  // the sanitizer has its own

struct Allocations {
  std::mutex mutex;
  std::map<char*, size_t> bytes;
  size_t total = 0;
};

/// Never destroyed, because a buffer may be freed after the end of main.
Allocations& allocations() {
  static auto* const instance = new Allocations;
  return *instance;
}

/// Allocates memory filled with poison.
hipError_t allocate(void** pointer, size_t bytes) {
  if (pointer == nullptr) return hipErrorInvalidValue;
  *pointer = nullptr;
  if (const hipError_t error = check_no_capture(true); error != hipSuccess) return error;
  if (bytes == 0) return hipSuccess;
  Allocations& all = allocations();
  std::lock_guard lock(all.mutex);
  const size_t limit = physical_memory();
  if (bytes > limit || all.total > limit - bytes) return hipErrorOutOfMemory;
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, bytes + 2 * kGuardBytes) != 0) return hipErrorOutOfMemory;
  fill_with_poison(memory, bytes + 2 * kGuardBytes);
  char* const begin = static_cast<char*>(memory) + kGuardBytes;
  *pointer = begin;
  all.bytes[begin] = bytes;
  all.total += bytes;
  return hipSuccess;
}

hipError_t release(void* pointer) {
  if (const hipError_t error = check_no_capture(true); error != hipSuccess) return error;
  if (pointer == nullptr) return hipSuccess;
  Allocations& all = allocations();
  std::lock_guard lock(all.mutex);
  const auto found = all.bytes.find(static_cast<char*>(pointer));
  if (found == all.bytes.end()) return hipErrorInvalidDevicePointer;
  all.total -= found->second;
  std::free(found->first - kGuardBytes);
  all.bytes.erase(found);
  return hipSuccess;
}

}  // namespace

namespace hipgpt::emulated {

size_t physical_memory() {
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

void check_device_memory(const std::string& kernel) {
  if (kAddressSanitizer) return;
  Allocations& all = allocations();
  std::lock_guard lock(all.mutex);
  for (const auto& [begin, bytes] : all.bytes)
    for (const char* guard : {begin - kGuardBytes, begin + bytes})
      if (!holds_poison(guard, kGuardBytes))
        die("kernel " + kernel + ": out-of-bounds write " + (guard < begin ? "before" : "after") +
            " a buffer of " + std::to_string(bytes) + " bytes in device memory");
}

}  // namespace hipgpt::emulated

hipError_t hipMalloc(void** pointer, size_t bytes) {
  return finish(allocate(pointer, bytes));
}
hipError_t hipFree(void* pointer) {
  return finish(release(pointer));
}
hipError_t hipHostMalloc(void** pointer, size_t bytes, unsigned) {
  return finish(allocate(pointer, bytes));
}
hipError_t hipHostFree(void* pointer) {
  return finish(release(pointer));
}

hipError_t hipMemcpyAsync(void* to, const void* from, size_t bytes, hipMemcpyKind, hipStream_t stream) {
  if (bytes == 0) return hipSuccess;
  if (to == nullptr || from == nullptr) return finish(hipErrorInvalidValue);
  return finish(enqueue(stream, [=] { std::memcpy(to, from, bytes); }));
}

hipError_t hipMemcpy(void* to, const void* from, size_t bytes, hipMemcpyKind kind) {
  if (const hipError_t error = check_no_capture(false); error != hipSuccess) return finish(error);
  return hipMemcpyAsync(to, from, bytes, kind, nullptr);
}

hipError_t hipMemsetAsync(void* to, int byte, size_t bytes, hipStream_t stream) {
  if (bytes == 0) return hipSuccess;
  if (to == nullptr) return finish(hipErrorInvalidValue);
  return finish(enqueue(stream, [=] { std::memset(to, byte, bytes); }));
}

hipError_t hipMemset(void* to, int byte, size_t bytes) {
  if (const hipError_t error = check_no_capture(false); error != hipSuccess) return finish(error);
  return hipMemsetAsync(to, byte, bytes, nullptr);
}

hipError_t hipMemGetInfo(size_t* available, size_t* total) {
  if (available == nullptr || total == nullptr) return finish(hipErrorInvalidValue);
  *available = hipgpt::host_memory().free;
  *total = physical_memory();
  return hipSuccess;
}
