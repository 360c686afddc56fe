#include "cpu/cpu_device.h"

#include <cblas.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include "cpu/blas_core.h"
#include "cpu/parallel.h"
#include "cpu/vector_level.h"
#include "device/check.h"
#include "error.h"
#include "util/available_cores.h"
#include "util/host_memory.h"
#include "util/number_text.h"
#include "util/parameter.h"

// Internal functions that every OpenBLAS build has. They are weak because no header declares them.
extern "C" [[gnu::weak]] void* blas_memory_alloc(int);
extern "C" [[gnu::weak]] void blas_memory_free(void*);

namespace hipgpt {

namespace {

/// Every thread in a matrix product holds an OpenBLAS buffer, of 128 MiB on most processors, and touches
/// little of it. OpenBLAS allocates the buffer at the first product and, if that fails, retries forever. This
/// function therefore checks that there is room and then makes OpenBLAS allocate all buffers, which it
/// reuses.
void reserve_blas_buffers(int threads) {
  if (blas_memory_alloc == nullptr || blas_memory_free == nullptr) return;
  constexpr size_t kBuffer = size_t{130} << 20;
  const auto count = static_cast<size_t>(std::min(threads, 48));  // OpenBLAS has room for at least 50
  void* room = ::mmap(nullptr, count * kBuffer, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) {
    throw Error(
        fmt::format("out of memory: the matrix products of {} need {} MiB of address space; raise the "
                    "limit (ulimit -v){}",
                    counted(threads, "thread"), count * kBuffer >> 20,
                    threads == 1 ? "" : fmt::format(" or use {} 1", Parameter::kThreads)));
  }
  ::munmap(room, count * kBuffer);
  std::vector<void*> buffers(count);
  for (void*& buffer : buffers) buffer = blas_memory_alloc(0);
  for (void* buffer : buffers) blas_memory_free(buffer);
}

}  // namespace

CpuDevice::CpuDevice(int threads) : threads_(threads > 0 ? threads : available_cores()) {
  cpu::vector_level();  // throws if the user's choice is wrong
  note_ = cpu::correct_blas_core();
  // matmul.cpp divides products among our threads, so OpenBLAS must not start its own.
  openblas_set_num_threads(1);
  if (openblas_get_parallel() == OPENBLAS_OPENMP && threads_.size() > 1) {
    throw Error(fmt::format(
        "this is the OpenMP build of OpenBLAS, which gives wrong products when several threads call "
        "it; install libopenblas-pthread-dev and rebuild, or use {} 1",
        Parameter::kThreads));
  }
  reserve_blas_buffers(threads_.size());
}

std::string CpuDevice::description() const {
  // The config reads "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ..."; keep the name and the version.
  const std::string config = openblas_get_config();
  const std::string library = config.substr(0, config.find(' ', config.find(' ') + 1));
  return fmt::format("cpu, {}, {} for {}", counted(threads_.size(), "thread"), library,
                     openblas_get_corename());
}

Device::Memory CpuDevice::memory() const {
  const HostMemory host = host_memory();
  return {host.free, host.total};
}

void* CpuDevice::allocate(size_t bytes) {
  // Linux promises more memory than the machine has and kills a process that uses it, so fail before that.
  const auto present =
      static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* memory = bytes > present ? nullptr : ::operator new (bytes, std::align_val_t{64}, std::nothrow);
  if (memory == nullptr) {
    const std::string limit = bytes > present ? "this machine has " + memory_text(present)
                                              : "less than that is free (ulimit -v is a limit too)";
    throw Error(
        fmt::format("out of memory: one tensor or buffer needs {}, but {}; make the model, {} or {} smaller",
                    memory_text(bytes), limit, Parameter::kBatch, Parameter::kMaxSeqLen));
  }
  return memory;
}

void CpuDevice::release(void* memory) noexcept {
  ::operator delete (memory, std::align_val_t{64});
}

void CpuDevice::copy_to_device(Tensor dst, const void* host) {
  check::copied("copy_to_device", dst);
  std::memcpy(dst.data(), host, dst.bytes());
}

void CpuDevice::copy_to_host(void* host, Tensor src) {
  check::copied("copy_to_host", src);
  std::memcpy(host, src.data(), src.bytes());
}

void CpuDevice::copy(Tensor dst, Tensor src) {
  check::copied("copy", dst, src);
  std::memcpy(dst.data(), src.data(), dst.bytes());
}

int64_t CpuDevice::working_set() const {
  return 5 << 20;  // stays in the last-level cache between the operations that write and read it
}

namespace {

class Calls final : public Device::Graph {
 public:
  explicit Calls(std::function<void()> f) : f_(std::move(f)) {}
  void replay() override { f_(); }

 private:
  std::function<void()> f_;
};

}  // namespace

std::unique_ptr<Device::Graph> CpuDevice::capture(std::function<void()> f) {
  return std::make_unique<Calls>(std::move(f));
}

void CpuDevice::set_zero(Tensor t) {
  check::copied("set_zero", t);
  auto* bytes = static_cast<std::byte*>(t.data());
  cpu::parallel_ranges(threads_, static_cast<int64_t>(t.bytes()), 1 << 18, [=](int64_t begin, int64_t end) {
    std::memset(bytes + begin, 0, static_cast<size_t>(end - begin));
  });
}

}  // namespace hipgpt
