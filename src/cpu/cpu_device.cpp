#include "cpu/cpu_device.h"

#include <cblas.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "cpu/parallel.h"
#include "error.h"
#include "util/available_cores.h"

namespace hipgpt {

CpuDevice::CpuDevice(int threads) : threads_(threads > 0 ? threads : available_cores()) {
  // Products are cut into pieces here (matmul.cpp), each for one thread: OpenBLAS must not start its own.
  openblas_set_num_threads(1);
  if (openblas_get_parallel() == OPENBLAS_OPENMP && threads_.size() > 1) {
    throw Error(
        "this OpenBLAS is its OpenMP build, which gives wrong products when several threads call it; "
        "install libopenblas-pthread-dev and build again, or use --threads 1");
  }
}

std::string CpuDevice::description() const {
  // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...": the name and the version.
  const std::string config = openblas_get_config();
  const std::string library = config.substr(0, config.find(' ', config.find(' ') + 1));
  return fmt::format("cpu, {} thread{}, {} for {}", threads_.size(), threads_.size() == 1 ? "" : "s", library,
                     openblas_get_corename());
}

void* CpuDevice::allocate(size_t bytes) {
  // Linux promises more memory than there is and ends a process that uses it: better to say so before.
  const auto present =
      static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* memory = bytes > present ? nullptr : ::operator new (bytes, std::align_val_t{64}, std::nothrow);
  if (memory == nullptr) {
    throw Error(
        fmt::format("out of memory: {:.1f} GiB asked for in one piece, and this machine has {:.1f} GiB; "
                    "make the model, --batch or --seq smaller",
                    static_cast<double>(bytes) / (1 << 30), static_cast<double>(present) / (1 << 30)));
  }
  return memory;
}

void CpuDevice::release(void* memory) noexcept {
  ::operator delete (memory, std::align_val_t{64});
}

void CpuDevice::copy_to_device(Tensor dst, const void* host) {
  std::memcpy(dst.data(), host, dst.bytes());
}

void CpuDevice::copy_to_host(void* host, Tensor src) {
  std::memcpy(host, src.data(), src.bytes());
}

void CpuDevice::copy(Tensor dst, Tensor src) {
  std::memcpy(dst.data(), src.data(), dst.bytes());
}

int64_t CpuDevice::working_set() const {
  return 5 << 20;  // stays in the last-level cache between the operations that write and read it
}

namespace {

class Calls final : public Device::Sequence {
 public:
  explicit Calls(std::function<void()> f) : f_(std::move(f)) {}
  void run() override { f_(); }

 private:
  std::function<void()> f_;
};

}  // namespace

std::unique_ptr<Device::Sequence> CpuDevice::record(std::function<void()> f) {
  return std::make_unique<Calls>(std::move(f));
}

void CpuDevice::set_zero(Tensor t) {
  auto* bytes = static_cast<std::byte*>(t.data());
  cpu::parallel_ranges(threads_, static_cast<int64_t>(t.bytes()), 1 << 18, [=](int64_t begin, int64_t end) {
    std::memset(bytes + begin, 0, static_cast<size_t>(end - begin));
  });
}

}  // namespace hipgpt
