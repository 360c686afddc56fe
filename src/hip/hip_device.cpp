#include "hip/hip_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

#include "device/check.h"
#include "device/hip_device_factory.h"
#include "error.h"
#include "hip/check.h"
#include "hip/copy.h"
#include "hip/fault.h"
#include "hip/gpu.h"
#include "util/device_file.h"
#include "util/parameter.h"

namespace hipgpt {

namespace {

/// Floats of scratch memory, for partial results: 128 MiB on a GPU with 64 GiB or more, less on a smaller
/// one.
int64_t scratch_floats(const hipDeviceProp_t& properties) {
  const auto share = static_cast<int64_t>(properties.totalGlobalMem / 512 / sizeof(float));
  return std::clamp(share, int64_t{4} << 20, int64_t{32} << 20);
}

double gib(size_t bytes) {
  return static_cast<double>(bytes) / (1 << 30);
}

bool is_emulated(const hipDeviceProp_t& properties) {
  return std::string_view(properties.gcnArchName).starts_with("emulated");
}

std::string describe(const hipDeviceProp_t& p) {
  const std::string architecture = hip::architecture(p.gcnArchName);
  return fmt::format("{} ({}), {} compute units, waves of {}, {:.1f} GiB{}", p.name, architecture,
                     hip::compute_units(architecture, p.multiProcessorCount), p.warpSize,
                     gib(p.totalGlobalMem), p.integrated != 0 ? ", integrated" : "");
}

/// AMD's runtime encodes a version as major * 10,000,000 + minor * 100,000, NVIDIA's as major * 1,000 +
/// minor * 10.
std::string runtime_version() {
  int version = 0;
  HIP_CHECK(hipRuntimeGetVersion(&version));
  return version >= 10'000'000 ? fmt::format("{}.{}", version / 10'000'000, version / 100'000 % 100)
                               : fmt::format("{}.{}", version / 1'000, version / 10 % 100);
}

/// The number of GPUs that the runtime sees, or 0 if there is no driver.
int device_count() {
  int count = 0;
  if (hipGetDeviceCount(&count) == hipSuccess) return count;
  static_cast<void>(hipGetLastError());  // clears the error, or the next check would report it
  return 0;
}

}  // namespace

namespace hip {

namespace {

/// What the user can do about an error.
std::string remedy(hipError_t error) {
  switch (error) {
    case hipErrorNoDevice:
    case hipErrorInsufficientDriver:
      return fmt::format("check that the driver is loaded and that you may use it, or use {} cpu",
                         Parameter::kDevice);
    case hipErrorInvalidDeviceFunction:
    case hipErrorNoBinaryForGpu:
      return "this build has no code for this GPU: add its architecture to HIPGPT_HIP_ARCHITECTURES, rebuild";
    case hipErrorOutOfMemory:
      return fmt::format("make the model, {} or {} smaller", Parameter::kBatch, Parameter::kMaxSeqLen);
    case hipErrorInvalidConfiguration:
      return "the GPU does not support blocks of this size; please report this";
    default: return fmt::format("use {} cpu to run without a GPU", Parameter::kDevice);
  }
}

}  // namespace

void throw_hip_error(hipError_t error, const char* call, const char* file, int line) {
  const std::string_view path = file;
  throw HipError(error, fmt::format("{} failed at {}:{}: {} ({}); {}", call, path.substr(path.rfind('/') + 1),
                                    line, hipGetErrorString(error), hipGetErrorName(error), remedy(error)));
}

}  // namespace hip

namespace {

hipDeviceProp_t properties_of(int index) {
  hipDeviceProp_t properties;
  HIP_CHECK(hipGetDeviceProperties(&properties, index));
  return properties;
}

/// Indices of the GPUs, discrete ones first.
std::vector<int> ordered_indices() {
  std::vector<int> indices(static_cast<size_t>(device_count()));
  std::iota(indices.begin(), indices.end(), 0);
  std::stable_partition(indices.begin(), indices.end(),
                        [](int i) { return properties_of(i).integrated == 0; });
  return indices;
}

/// The index of the GPU to use. Throws Error if there is no such GPU.
int chosen_index(std::optional<int> wanted) {
  int count = 0;
  const hipError_t error = hipGetDeviceCount(&count);
  if (error != hipSuccess || count == 0) {
    static_cast<void>(hipGetLastError());
    const std::string denied = why_not_permitted("/dev/kfd");  // through which ROCm reaches all GPUs
    if (!denied.empty())
      throw NoAccessToGpu(fmt::format("{} hip: no GPU found: {}", Parameter::kDevice, denied));
    const hipError_t reason = error == hipSuccess ? hipErrorNoDevice : error;
    throw Error(fmt::format("{} hip: no GPU found: {} ({}); {}", Parameter::kDevice,
                            hipGetErrorString(reason), hipGetErrorName(reason),
                            hip::remedy(hipErrorNoDevice)));
  }
  if (!wanted) return ordered_indices().front();
  if (*wanted >= count) {
    throw Error(fmt::format("{} hip:{}: no such GPU; {} hip:0{}", Parameter::kDevice, *wanted,
                            count == 1 ? "the only GPU is" : "the GPUs are",
                            count == 1 ? "" : fmt::format(" to hip:{}", count - 1)));
  }
  return *wanted;
}

}  // namespace

std::unique_ptr<Device> make_hip_device(std::optional<int> index) {
  return std::make_unique<HipDevice>(chosen_index(index));
}

std::vector<DeviceInfo> list_hip_devices() {
  std::vector<DeviceInfo> devices;
  for (const int i : ordered_indices()) {
    const hipDeviceProp_t properties = properties_of(i);
    devices.push_back(
        {fmt::format("hip:{}", i),
         describe(properties) +
             (hip::multiplies_bf16(hip::architecture(properties.gcnArchName)) ? ", bf16 and fp32" : ", fp32"),
         true, is_emulated(properties)});
  }
  return devices;
}

// ---- Memory, streams and graphs -------------------------------------------------------------------------

HipDevice::HipDevice(int index) : index_(index), properties_(properties_of(index)) {
  HIP_CHECK(hipSetDevice(index));
  make_stream(main_);
  make_stream(side_);
  for (hip::Event* event : {&forked_, &joined_}) {
    HIP_CHECK(hipEventCreateWithFlags(event->out(), hipEventDisableTiming));
  }
  main_.launch.side = &side_.launch;
  main_.launch.forked = forked_.get();
  main_.launch.joined = joined_.get();
  HIP_CHECK(hipHostMalloc(fault_.out(), sizeof(int32_t), hipHostMallocDefault));
  main_.launch.fault = static_cast<int32_t*>(fault_.get());
  *main_.launch.fault = 0;
  HIP_CHECK(hipHostMalloc(few_bytes_.out(), kFewBytes, hipHostMallocDefault));
  for (Staging& staging : staging_) {
    HIP_CHECK(hipHostMalloc(staging.memory.out(), kStagingBytes, hipHostMallocDefault));
    HIP_CHECK(hipEventCreateWithFlags(staging.free.out(), hipEventDisableTiming));
  }
  HIP_CHECK(hipMemsetAsync(main_.scratch.get(), 0, sizeof(int32_t), main_.launch.handle));
  check_for_kernels();
}

/// Launches a kernel to find out whether this build has code for the GPU, before a capture could fail
/// halfway.
void HipDevice::check_for_kernels() {
  try {
    increment(Tensor(main_.scratch.get(), {1}, DType::kI32));
    HIP_CHECK(hipStreamSynchronize(main_.launch.handle));
  } catch (const hip::HipError& error) {
    // ROCm returns either of these, and more often the first.
    if (error.code != hipErrorInvalidDeviceFunction && error.code != hipErrorNoBinaryForGpu) throw;
    const std::string architecture = hip::architecture(properties_.gcnArchName);
    throw NoKernelsForGpu(
        fmt::format("hip:{}, {} ({}): this build only has kernels for {}; rebuild with "
                    "-DHIPGPT_HIP_ARCHITECTURES={}, or use {} cpu",
                    index_, properties_.name, architecture, HIPGPT_BUILT_ARCHITECTURES, architecture,
                    Parameter::kDevice));
  }
}

HipDevice::~HipDevice() {
  static_cast<void>(hipDeviceSynchronize());  // nothing may still use the memory that is freed next
}

void HipDevice::make_stream(OwnedStream& stream) {
  const int64_t floats = scratch_floats(properties_);
  HIP_CHECK(hipStreamCreateWithFlags(stream.stream.out(), hipStreamNonBlocking));
  HIP_CHECK(hipMalloc(stream.scratch.out(), static_cast<size_t>(floats) * sizeof(float)));
  const std::string architecture = hip::architecture(properties_.gcnArchName);
  stream.launch = {stream.stream.get(),
                   static_cast<float*>(stream.scratch.get()),
                   floats,
                   hip::compute_units(architecture, properties_.multiProcessorCount),
                   !hip::is_amd(architecture) || hip::multiplies_bf16(architecture),
                   architecture == "sm_90"};
}

std::string HipDevice::description() const {
  return fmt::format("hip, {}, runtime {}", describe(properties_), runtime_version());
}

const hip::Stream& HipDevice::stream() const {
  HIP_CHECK(hipSetDevice(index_));  // this thread may have used another GPU since
  return main_.launch;
}

Device::Memory HipDevice::memory() const {
  stream();
  Memory memory{};
  HIP_CHECK(hipMemGetInfo(&memory.free, &memory.total));
  if (properties_.integrated != 0) memory.free = 0;  // such a GPU can use the memory of the host too
  return memory;
}

void* HipDevice::allocate(size_t bytes) {
  stream();
  void* memory = nullptr;
  const hipError_t error = hipMalloc(&memory, std::max<size_t>(bytes, 1));
  if (error == hipErrorOutOfMemory) {
    static_cast<void>(hipGetLastError());
    size_t available = 0, total = 0;
    HIP_CHECK(hipMemGetInfo(&available, &total));
    throw Error(
        fmt::format("out of memory on the GPU: one buffer needs {:.2f} GiB, and {:.2f} of {:.2f} GiB are "
                    "free; {}",
                    gib(bytes), gib(available), gib(total), hip::remedy(error)));
  }
  HIP_CHECK(error);
  return memory;
}

void HipDevice::release(void* memory) noexcept {
  static_cast<void>(hipFree(memory));
}

void* HipDevice::allocate_host(size_t bytes) {
  stream();
  void* memory = nullptr;
  HIP_CHECK(hipHostMalloc(&memory, std::max<size_t>(bytes, 1), hipHostMallocDefault));
  return memory;
}

void HipDevice::release_host(void* memory) noexcept {
  static_cast<void>(hipHostFree(memory));
}

HipDevice::Staging& HipDevice::next_staging() {
  Staging& staging = staging_[next_staging_];
  next_staging_ = (next_staging_ + 1) % staging_.size();
  HIP_CHECK(hipEventSynchronize(staging.free.get()));
  return staging;
}

void HipDevice::copy_to_device(Tensor dst, const void* host) {
  check::copied("copy_to_device", dst);
  auto* to = static_cast<std::byte*>(dst.data());
  const auto* from = static_cast<const std::byte*>(host);
  for (size_t left = dst.bytes(); left > 0;) {
    const size_t bytes = std::min(left, kStagingBytes);
    const Staging& staging = next_staging();
    std::memcpy(staging.memory.get(), from, bytes);
    HIP_CHECK(hipMemcpyAsync(to, staging.memory.get(), bytes, hipMemcpyHostToDevice, stream().handle));
    HIP_CHECK(hipEventRecord(staging.free.get(), main_.launch.handle));
    to += bytes;
    from += bytes;
    left -= bytes;
  }
}

void HipDevice::copy_to_host(void* host, Tensor src) {
  check::copied("copy_to_host", src);
  if (src.bytes() <= kFewBytes && src.bytes() % sizeof(int32_t) == 0) {
    auto* const pinned = static_cast<int32_t*>(few_bytes_.get());
    hip::copy_to_pinned(stream(), pinned, static_cast<const int32_t*>(src.data()),
                        static_cast<int>(src.bytes() / sizeof(int32_t)));
    HIP_CHECK(hipStreamSynchronize(main_.launch.handle));
    std::memcpy(host, pinned, src.bytes());
  } else {
    HIP_CHECK(hipMemcpyAsync(host, src.data(), src.bytes(), hipMemcpyDeviceToHost, stream().handle));
    HIP_CHECK(hipStreamSynchronize(main_.launch.handle));
  }
  check_faults();
}

void HipDevice::check_faults() {
  const auto fault = static_cast<hip::Fault>(std::exchange(*main_.launch.fault, 0));
  switch (fault) {
    case hip::Fault::kNone: return;
    case hip::Fault::kEmbedding:
      throw Error("embedding: an id in tokens or a position is outside wte or wpe");
    case hip::Fault::kEmbeddingBackward: throw Error("embedding_backward: an id in tokens is outside dwte");
    case hip::Fault::kAttentionCached: throw Error("attention_cached: past leaves no room in the cache");
    case hip::Fault::kCrossEntropy: throw Error("cross_entropy: an id in targets is outside a row of logits");
    case hip::Fault::kCrossEntropyWithGradient:
      throw Error("cross_entropy_with_gradient: an id in targets is outside a row of logits");
  }
}

void HipDevice::copy(Tensor dst, Tensor src) {
  check::copied("copy", dst, src);
  HIP_CHECK(hipMemcpyAsync(dst.data(), src.data(), dst.bytes(), hipMemcpyDeviceToDevice, stream().handle));
}

void HipDevice::set_zero(Tensor t) {
  check::copied("set_zero", t);
  HIP_CHECK(hipMemsetAsync(t.data(), 0, t.bytes(), stream().handle));
}

DType HipDevice::preferred_dtype() const {
  return hip::multiplies_bf16(hip::architecture(properties_.gcnArchName)) ? DType::kBF16 : DType::kF32;
}

int64_t HipDevice::working_set() const {
  return int64_t{256} << 20;
}

namespace {

/// A graph of captured launches.
class CapturedGraph final : public Device::Graph {
 public:
  /// Takes ownership of `graph`.
  CapturedGraph(hipGraph_t graph, hipStream_t stream) : stream_(stream) {
    const hipError_t error = hipGraphInstantiate(&executable_, graph, nullptr, nullptr, 0);
    static_cast<void>(hipGraphDestroy(graph));
    HIP_CHECK(error);
  }
  ~CapturedGraph() override { static_cast<void>(hipGraphExecDestroy(executable_)); }
  void replay() override { HIP_CHECK(hipGraphLaunch(executable_, stream_)); }

 private:
  hipStream_t stream_;
  hipGraphExec_t executable_ = nullptr;
};

}  // namespace

std::unique_ptr<Device::Graph> HipDevice::capture(std::function<void()> f) {
  const hipStream_t stream = this->stream().handle;
  hipGraph_t graph = nullptr;
  HIP_CHECK(hipStreamBeginCapture(stream, hipStreamCaptureModeThreadLocal));
  try {
    f();
  } catch (...) {
    if (hipStreamEndCapture(stream, &graph) == hipSuccess) static_cast<void>(hipGraphDestroy(graph));
    throw;
  }
  HIP_CHECK(hipStreamEndCapture(stream, &graph));
  return std::make_unique<CapturedGraph>(graph, stream);
}

}  // namespace hipgpt
