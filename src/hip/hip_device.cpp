#include "hip/hip_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "device/hip_device_factory.h"
#include "error.h"
#include "hip/check.h"

namespace hipgpt {

namespace {

/// For partial results of products and sums: 128 MiB on a GPU with 64 GiB or more, less on a smaller one.
int64_t scratch_floats(const hipDeviceProp_t& properties) {
  const auto share = static_cast<int64_t>(properties.totalGlobalMem / 512 / sizeof(float));
  return std::clamp(share, int64_t{4} << 20, int64_t{32} << 20);
}

int as_int(int64_t n) {
  return static_cast<int>(n);
}

double gib(size_t bytes) {
  return static_cast<double>(bytes) / (1 << 30);
}

/// "gfx90a:sramecc+:xnack-" -> "gfx90a".
std::string architecture(const hipDeviceProp_t& properties) {
  const std::string_view name = properties.gcnArchName;
  return std::string(name.substr(0, name.find(':')));
}

bool is_emulated(const hipDeviceProp_t& properties) {
  return architecture(properties).starts_with("emulated");
}

std::string describe(const hipDeviceProp_t& p) {
  return fmt::format("{} ({}), {} compute units, waves of {}, {:.1f} GiB", p.name, architecture(p),
                     p.multiProcessorCount, p.warpSize, gib(p.totalGlobalMem));
}

/// AMD's runtime counts 10,000,000 for a major version and 100,000 for a minor one, NVIDIA's 1,000 and 10.
std::string runtime_version() {
  int version = 0;
  HIP_CHECK(hipRuntimeGetVersion(&version));
  return version >= 10'000'000 ? fmt::format("{}.{}", version / 10'000'000, version / 100'000 % 100)
                               : fmt::format("{}.{}", version / 1'000, version / 10 % 100);
}

/// GPUs that the runtime sees; 0 also where there is no driver.
int device_count() {
  int count = 0;
  if (hipGetDeviceCount(&count) == hipSuccess) return count;
  static_cast<void>(hipGetLastError());  // or the next check would find it
  return 0;
}

}  // namespace

namespace hip {

namespace {

/// What a user can do about an error, if we know.
const char* remedy(hipError_t error) {
  switch (error) {
    case hipErrorNoDevice:
    case hipErrorInsufficientDriver: return "is the driver loaded, and may this user use it? (--device cpu)";
    case hipErrorNoBinaryForGpu:
      return "this build has no code for this GPU: build with its architecture in HIPGPT_HIP_ARCHITECTURES";
    case hipErrorOutOfMemory: return "make the model, --batch or --seq smaller";
    case hipErrorInvalidConfiguration: return "the GPU does not take blocks of this size: please report this";
    default: return "--device cpu needs no GPU";
  }
}

}  // namespace

void throw_hip_error(hipError_t error, const char* call, const char* file, int line) {
  const std::string_view path = file;
  throw Error(fmt::format("{} failed at {}:{}: {} ({}); {}", call, path.substr(path.rfind('/') + 1), line,
                          hipGetErrorString(error), hipGetErrorName(error), remedy(error)));
}

}  // namespace hip

std::unique_ptr<Device> make_hip_device() {
  return std::make_unique<HipDevice>();
}

std::vector<DeviceInfo> list_hip_devices() {
  std::vector<DeviceInfo> devices;
  for (int i = 0; i < device_count(); ++i) {
    hipDeviceProp_t properties;
    HIP_CHECK(hipGetDeviceProperties(&properties, i));
    devices.push_back({"hip", describe(properties) + ", fp32", true, is_emulated(properties)});
  }
  return devices;
}

// ---- Memory, streams and sequences ----------------------------------------------------------------------

HipDevice::HipDevice() {
  int count = 0;
  const hipError_t error = hipGetDeviceCount(&count);
  if (error != hipSuccess || count == 0) {
    const hipError_t reason = error == hipSuccess ? hipErrorNoDevice : error;
    throw Error(fmt::format("--device hip: no GPU here: {} ({}); {}", hipGetErrorString(reason),
                            hipGetErrorName(reason), hip::remedy(hipErrorNoDevice)));
  }
  HIP_CHECK(hipSetDevice(0));
  HIP_CHECK(hipGetDeviceProperties(&properties_, 0));
  make_lane(main_);
  make_lane(side_);
  for (hip::Event* event : {&forked_, &joined_}) {
    HIP_CHECK(hipEventCreateWithFlags(event->out(), hipEventDisableTiming));
  }
  for (Staging& staging : staging_) {
    HIP_CHECK(hipHostMalloc(staging.memory.out(), kStagingBytes, hipHostMallocDefault));
    HIP_CHECK(hipEventCreateWithFlags(staging.free.out(), hipEventDisableTiming));
  }
  // A first launch tells whether there is code for this GPU: better now than in the middle of a recording.
  HIP_CHECK(hipMemsetAsync(main_.scratch.get(), 0, sizeof(int32_t), main_.queue.stream));
  hip::increment(main_.queue, static_cast<int32_t*>(main_.scratch.get()), 1);
  HIP_CHECK(hipStreamSynchronize(main_.queue.stream));
}

HipDevice::~HipDevice() {
  static_cast<void>(hipDeviceSynchronize());  // nothing may still use what is given back now
}

void HipDevice::make_lane(Lane& lane) {
  const int64_t floats = scratch_floats(properties_);
  HIP_CHECK(hipStreamCreateWithFlags(lane.stream.out(), hipStreamNonBlocking));
  HIP_CHECK(hipMalloc(lane.scratch.out(), static_cast<size_t>(floats) * sizeof(float)));
  lane.queue = {lane.stream.get(), static_cast<float*>(lane.scratch.get()), floats,
                properties_.multiProcessorCount};
}

std::string HipDevice::description() const {
  return fmt::format("hip, {}, runtime {}", describe(properties_), runtime_version());
}

void* HipDevice::allocate(size_t bytes) {
  void* memory = nullptr;
  const hipError_t error = hipMalloc(&memory, std::max<size_t>(bytes, 1));
  if (error == hipErrorOutOfMemory) {
    static_cast<void>(hipGetLastError());
    size_t available = 0, total = 0;
    HIP_CHECK(hipMemGetInfo(&available, &total));
    throw Error(
        fmt::format("out of memory on the GPU: {:.2f} GiB needed in one piece, {:.2f} of {:.2f} GiB are "
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
  auto* to = static_cast<std::byte*>(dst.data());
  const auto* from = static_cast<const std::byte*>(host);
  for (size_t left = dst.bytes(); left > 0;) {
    const size_t bytes = std::min(left, kStagingBytes);
    const Staging& staging = next_staging();
    std::memcpy(staging.memory.get(), from, bytes);
    HIP_CHECK(hipMemcpyAsync(to, staging.memory.get(), bytes, hipMemcpyHostToDevice, main_.queue.stream));
    HIP_CHECK(hipEventRecord(staging.free.get(), main_.queue.stream));
    to += bytes;
    from += bytes;
    left -= bytes;
  }
}

void HipDevice::copy_to_host(void* host, Tensor src) {
  HIP_CHECK(hipMemcpyAsync(host, src.data(), src.bytes(), hipMemcpyDeviceToHost, main_.queue.stream));
  HIP_CHECK(hipStreamSynchronize(main_.queue.stream));
}

void HipDevice::copy(Tensor dst, Tensor src) {
  HIP_CHECK(hipMemcpyAsync(dst.data(), src.data(), dst.bytes(), hipMemcpyDeviceToDevice, main_.queue.stream));
}

void HipDevice::set_zero(Tensor t) {
  HIP_CHECK(hipMemsetAsync(t.data(), 0, t.bytes(), main_.queue.stream));
}

int64_t HipDevice::working_set() const {
  return int64_t{256} << 20;
}

namespace {

/// A captured graph of launches.
class Graph final : public Device::Sequence {
 public:
  /// `graph` is consumed.
  Graph(hipGraph_t graph, hipStream_t stream) : stream_(stream) {
    const hipError_t error = hipGraphInstantiate(&executable_, graph, nullptr, nullptr, 0);
    static_cast<void>(hipGraphDestroy(graph));
    HIP_CHECK(error);
  }
  ~Graph() override { static_cast<void>(hipGraphExecDestroy(executable_)); }
  void run() override { HIP_CHECK(hipGraphLaunch(executable_, stream_)); }

 private:
  hipStream_t stream_;
  hipGraphExec_t executable_ = nullptr;
};

}  // namespace

std::unique_ptr<Device::Sequence> HipDevice::record(std::function<void()> f) {
  const hipStream_t stream = main_.queue.stream;
  hipGraph_t graph = nullptr;
  HIP_CHECK(hipStreamBeginCapture(stream, hipStreamCaptureModeThreadLocal));
  try {
    f();
  } catch (...) {
    if (hipStreamEndCapture(stream, &graph) == hipSuccess) static_cast<void>(hipGraphDestroy(graph));
    throw;
  }
  HIP_CHECK(hipStreamEndCapture(stream, &graph));
  return std::make_unique<Graph>(graph, stream);
}

// ---- Operations: shapes become numbers, tensors pointers ------------------------------------------------

namespace {

float* f32_or_null(Tensor t) {
  return t ? t.f32() : nullptr;
}

int32_t* i32_or_null(Tensor t) {
  return t ? t.i32() : nullptr;
}

}  // namespace

void HipDevice::matmul(Tensor c, Tensor a, Op op_a, Tensor b, Op op_b, bool accumulate) {
  hip::matmul(main_.queue, c.f32(), a.f32(), op_a, b.f32(), op_b, as_int(c.dim(0)), as_int(c.dim(1)),
              as_int(a.dim(op_a == Op::kNone ? 1 : 0)), accumulate);
}

void HipDevice::linear(Tensor y, Tensor x, Tensor w, Op op_w, Tensor b, Activation act, Tensor pre) {
  hip::linear(main_.queue, y.f32(), x.f32(), w.f32(), op_w, f32_or_null(b), act, f32_or_null(pre),
              as_int(y.dim(0)), as_int(y.dim(1)), as_int(x.dim(1)));
}

void HipDevice::linear_backward(Tensor dx, Tensor dw, Tensor db, Tensor dy, Tensor x, Tensor w, Op op_w,
                                Activation act, Tensor pre) {
  const int rows = as_int(dy.dim(0)), out = as_int(dy.dim(1)), in = as_int(x.dim(1));
  // The gradients of weights and of inputs do not need each other: they run side by side.
  HIP_CHECK(hipEventRecord(forked_.get(), main_.queue.stream));
  HIP_CHECK(hipStreamWaitEvent(side_.queue.stream, forked_.get(), 0));
  if (op_w == Op::kNone) {
    hip::matmul(side_.queue, dw.f32(), x.f32(), Op::kTranspose, dy.f32(), Op::kNone, in, out, rows, true);
  } else {
    hip::matmul(side_.queue, dw.f32(), dy.f32(), Op::kTranspose, x.f32(), Op::kNone, out, in, rows, true);
  }
  if (db) hip::column_sums(side_.queue, db.f32(), dy.f32(), rows, out);
  HIP_CHECK(hipEventRecord(joined_.get(), side_.queue.stream));
  hip::linear_backward_input(main_.queue, dx.f32(), dy.f32(), w.f32(), op_w, f32_or_null(pre), act, rows, out,
                             in);
  HIP_CHECK(hipStreamWaitEvent(main_.queue.stream, joined_.get(), 0));
}

void HipDevice::embedding(Tensor y, Tensor tokens, Tensor wte, Tensor wpe, Tensor first_position) {
  hip::embedding(main_.queue, y.f32(), tokens.i32(), wte.f32(), wpe.f32(), i32_or_null(first_position),
                 as_int(tokens.dim(0)), as_int(tokens.dim(1)), as_int(wte.dim(1)));
}

void HipDevice::embedding_backward(Tensor dwte, Tensor dwpe, Tensor dy, Tensor tokens) {
  hip::embedding_backward(main_.queue, dwte.f32(), dwpe.f32(), dy.f32(), tokens.i32(), as_int(tokens.dim(0)),
                          as_int(tokens.dim(1)), as_int(dwte.dim(1)));
}

void HipDevice::layernorm(Tensor y, Tensor mean, Tensor rstd, Tensor x, Tensor w, Tensor b) {
  hip::layernorm(main_.queue, y.f32(), mean.f32(), rstd.f32(), x.f32(), w.f32(), b.f32(), as_int(x.dim(0)),
                 as_int(x.dim(1)));
}

void HipDevice::residual_layernorm(Tensor sum, Tensor y, Tensor mean, Tensor rstd, Tensor x, Tensor branch,
                                   const Dropout& dropout, Tensor w, Tensor b) {
  hip::residual_layernorm(main_.queue, sum.f32(), y.f32(), mean.f32(), rstd.f32(), x.f32(), branch.f32(),
                          dropout, w.f32(), b.f32(), as_int(x.dim(0)), as_int(x.dim(1)));
}

void HipDevice::layernorm_backward(Tensor dx, Tensor dw, Tensor db, Tensor dy, Tensor x, Tensor w,
                                   Tensor mean, Tensor rstd) {
  hip::layernorm_backward(main_.queue, dx.f32(), dw.f32(), db.f32(), dy.f32(), x.f32(), w.f32(), mean.f32(),
                          rstd.f32(), as_int(x.dim(0)), as_int(x.dim(1)));
}

void HipDevice::attention(Tensor out, Tensor lse, Tensor qkv, int heads, const Dropout& dropout) {
  hip::attention(main_.queue, out.f32(), lse.f32(), qkv.f32(), as_int(qkv.dim(0)), as_int(qkv.dim(1)), heads,
                 as_int(qkv.dim(2)) / 3 / heads, dropout);
}

void HipDevice::attention_backward(Tensor dqkv, Tensor dout, Tensor qkv, Tensor out, Tensor lse, int heads,
                                   const Dropout& dropout) {
  hip::attention_backward(main_.queue, dqkv.f32(), dout.f32(), qkv.f32(), out.f32(), lse.f32(),
                          as_int(qkv.dim(0)), as_int(qkv.dim(1)), heads, as_int(qkv.dim(2)) / 3 / heads,
                          dropout);
}

void HipDevice::attention_cached(Tensor out, Tensor keys, Tensor values, Tensor qkv, int heads, Tensor past) {
  hip::attention_cached(main_.queue, out.f32(), keys.f32(), values.f32(), qkv.f32(), as_int(qkv.dim(0)),
                        as_int(qkv.dim(1)), heads, as_int(qkv.dim(2)) / 3 / heads, as_int(keys.dim(1)),
                        past.i32());
}

void HipDevice::add_dropout(Tensor y, Tensor x, Tensor branch, const Dropout& dropout) {
  hip::add_dropout(main_.queue, y.f32(), f32_or_null(x), branch.f32(), dropout, as_int(branch.dim(0)),
                   as_int(branch.dim(1)));
}

void HipDevice::dropout_backward(Tensor dbranch, Tensor dy, const Dropout& dropout) {
  add_dropout(dbranch, Tensor(), dy, dropout);  // the mask is the same linear map in both directions
}

void HipDevice::cross_entropy(Tensor losses, Tensor logits, Tensor targets) {
  hip::cross_entropy(main_.queue, losses.f32(), logits.f32(), targets.i32(), as_int(logits.dim(0)),
                     as_int(logits.dim(1)));
}

void HipDevice::cross_entropy_with_gradient(Tensor losses, Tensor logits, Tensor targets, float scale) {
  hip::cross_entropy_with_gradient(main_.queue, losses.f32(), logits.f32(), targets.i32(), scale,
                                   as_int(logits.dim(0)), as_int(logits.dim(1)));
}

void HipDevice::sum(Tensor out, Tensor x) {
  hip::sum(main_.queue, out.f32(), x.f32(), x.size());
}

void HipDevice::norm(Tensor out, Tensor x) {
  hip::norm(main_.queue, out.f32(), x.f32(), x.size());
}

void HipDevice::adamw(Tensor params, Tensor grads, Tensor m, Tensor v, Tensor grad_norm, Tensor rates,
                      const AdamW& options) {
  hip::adamw(main_.queue, params.f32(), grads.f32(), m.f32(), v.f32(), grad_norm.f32(), rates.f32(), options,
             params.size());
}

void HipDevice::sample(Tensor token, Tensor logits, Tensor seen, Tensor draw, const Sampling& options) {
  hip::sample(main_.queue, token.i32(), logits.f32(), seen.i32(), draw.i32(), as_int(logits.dim(0)),
              as_int(logits.dim(1)), options);
}

void HipDevice::increment(Tensor counters) {
  hip::increment(main_.queue, counters.i32(), as_int(counters.size()));
}

}  // namespace hipgpt
