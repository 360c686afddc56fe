// Collectives between GPUs run on a stream of their own, beside the operations of the device.
//
// A sum of n bytes among N GPUs moves 2 (N-1)/N n bytes out of each of them, and reduce_scatter and all_gather
// half of that. src/comm/README.md has the times that this predicts.
#include "comm/gpu_communicator.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "comm/nccl.h"
#include "error.h"
#include "hip/check.h"
#include "hip/hip_device.h"

namespace hipgpt {

namespace hip {

namespace {

#if defined(__HIP_PLATFORM_AMD__)
constexpr const char* kFiles[] = {"librccl.so.1", "librccl.so"};
constexpr const char* kName = "RCCL";
#else
constexpr const char* kFiles[] = {"libnccl.so.2", "libnccl.so"};
constexpr const char* kName = "NCCL";
#endif
constexpr const char* kVariable = "HIPGPT_NCCL";

void* open_library() {
  if (const char* file = std::getenv(kVariable); file != nullptr && *file != '\0') {
    void* const library = ::dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw Error(fmt::format("{}: {}", kVariable, ::dlerror()));
    return library;
  }
  std::string reason;
  for (const char* file : kFiles) {
    if (void* const library = ::dlopen(file, RTLD_NOW | RTLD_LOCAL)) return library;
    if (reason.empty()) reason = ::dlerror();
  }
  throw Error(fmt::format("{}, which connects GPUs: {}; install it, or set {} to its file", kName, reason,
                          kVariable));
}

template <typename F>
void find(void* library, F*& function, const char* name) {
  function = reinterpret_cast<F*>(::dlsym(library, name));
  if (function == nullptr) throw Error(fmt::format("{}: has no {}: it is too old", kName, name));
}

Nccl load() {
  void* const library = open_library();  // for the rest of the process
  Nccl nccl;
#define HIPGPT_FIND(name) find(library, nccl.name, "nccl" #name)
  HIPGPT_FIND(GetVersion);
  HIPGPT_FIND(GetUniqueId);
  HIPGPT_FIND(CommInitRank);
  HIPGPT_FIND(CommGetAsyncError);
  HIPGPT_FIND(CommDestroy);
  HIPGPT_FIND(AllReduce);
  HIPGPT_FIND(ReduceScatter);
  HIPGPT_FIND(Reduce);
  HIPGPT_FIND(AllGather);
  HIPGPT_FIND(Broadcast);
  HIPGPT_FIND(GetErrorString);
#undef HIPGPT_FIND
  return nccl;
}

}  // namespace

const Nccl& Nccl::library() {
  static const Nccl loaded = load();
  return loaded;
}

std::string Nccl::name() const {
  int version = 0;
  GetVersion(&version);
  return fmt::format("{} {}.{}.{}", kName, version / 10000, version / 100 % 100, version % 100);
}

}  // namespace hip

namespace {

using hip::Nccl;

void check(const Nccl& nccl, Nccl::Result result, std::string_view what) {
  if (result == Nccl::kSuccess) return;
  throw Error(fmt::format("{}: {} failed: {}; NCCL_DEBUG=WARN says more", nccl.name(), what,
                          nccl.GetErrorString(result)));
}

class GpuCommunicator final : public Communicator {
 public:
  GpuCommunicator(Device& device, Team& team) : device_(device), team_(team) {
    // The leader's id tells the others where the library listens.
    Nccl::UniqueId id{};
    if (team.is_leader()) {
      check(nccl_, nccl_.GetUniqueId(&id), "ncclGetUniqueId");
      team.tell(std::string_view(id.bytes, sizeof id.bytes));
    } else {
      const std::string told = team.hear();
      std::memcpy(id.bytes, told.data(), std::min(told.size(), sizeof id.bytes));
    }
    device_stream();  // makes the GPU current
    check(nccl_, nccl_.CommInitRank(&communicator_, size(), id, rank()), "ncclCommInitRank");
    HIP_CHECK(hipStreamCreateWithFlags(stream_.out(), hipStreamNonBlocking));
    for (hip::Event* event : {&begun_, &done_}) {
      HIP_CHECK(hipEventCreateWithFlags(event->out(), hipEventDisableTiming));
    }
  }

  ~GpuCommunicator() override {
    static_cast<void>(hipStreamSynchronize(stream_.get()));
    nccl_.CommDestroy(communicator_);
  }

  int rank() const override { return team_.rank(); }
  int size() const override { return team_.size(); }
  bool can_be_captured() const override { return true; }
  double seconds() const override { return seconds_; }

  std::string description() const override {
    return fmt::format("{}, connected by {}", size(), nccl_.name());
  }

  void all_reduce(Tensor t) override {
    start();
    check(nccl_,
          nccl_.AllReduce(t.data(), t.data(), static_cast<size_t>(t.size()), Nccl::kFloat32, Nccl::kSum,
                          communicator_, stream_.get()),
          "ncclAllReduce");
  }

  void reduce_scatter(Tensor t) override {
    start();
    const Equal parts(*this, t);
    float* const own = parts.begin + rank() * parts.count;
    check(nccl_,
          nccl_.ReduceScatter(parts.begin, own, parts.count, Nccl::kFloat32, Nccl::kSum, communicator_,
                              stream_.get()),
          "ncclReduceScatter");
    if (parts.rest == 0) return;
    check(nccl_,
          nccl_.Reduce(parts.end, parts.end, parts.rest, Nccl::kFloat32, Nccl::kSum, size() - 1,
                       communicator_, stream_.get()),
          "ncclReduce");
  }

  void all_gather(Tensor t) override {
    start();
    const Equal parts(*this, t);
    const float* const own = parts.begin + rank() * parts.count;
    check(nccl_, nccl_.AllGather(own, parts.begin, parts.count, Nccl::kFloat32, communicator_, stream_.get()),
          "ncclAllGather");
    if (parts.rest == 0) return;
    check(nccl_,
          nccl_.Broadcast(parts.end, parts.end, parts.rest, Nccl::kFloat32, size() - 1, communicator_,
                          stream_.get()),
          "ncclBroadcast");
  }

  void broadcast(Tensor t) override {
    start();
    check(nccl_, nccl_.Broadcast(t.data(), t.data(), t.bytes(), Nccl::kInt8, 0, communicator_, stream_.get()),
          "ncclBroadcast");
  }

  void wait() override {
    if (!std::exchange(started_, false)) return;
    HIP_CHECK(hipEventRecord(done_.get(), stream_.get()));
    HIP_CHECK(hipStreamWaitEvent(device_stream(), done_.get(), 0));
  }

  void sum(std::span<double> values) override {
    Nccl::Result error = Nccl::kSuccess;
    check(nccl_, nccl_.CommGetAsyncError(communicator_, &error), "ncclCommGetAsyncError");
    check(nccl_, error, "a collective");
    const auto before = std::chrono::steady_clock::now();
    team_.sum(values);
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  }

 private:
  /// A tensor as N parts of equal length and a rest, which belongs to the last process as well.
  struct Equal {
    Equal(const Communicator& c, Tensor t)
        : begin(t.f32()),
          count(static_cast<size_t>(c.slice(t.size(), 0).size())),
          end(begin + count * static_cast<size_t>(c.size())),
          rest(static_cast<size_t>(t.f32() + t.size() - end)) {}
    float* begin;
    size_t count;  // of a part
    float* end;
    size_t rest;
  };

  hipStream_t device_stream() { return static_cast<hipStream_t>(device_.native_stream()); }

  /// Makes the stream of the collectives wait for all operations that the device has been given so far.
  void start() {
    started_ = true;
    HIP_CHECK(hipEventRecord(begun_.get(), device_stream()));
    HIP_CHECK(hipStreamWaitEvent(stream_.get(), begun_.get(), 0));
  }

  Device& device_;
  Team& team_;
  const Nccl& nccl_ = Nccl::library();
  Nccl::Communicator communicator_ = nullptr;
  hip::StreamHandle stream_;
  hip::Event begun_, done_;
  bool started_ = false;  // since the last wait()
  double seconds_ = 0;
};

}  // namespace

std::string why_no_gpu_communicator(const Device& device) {
  if (device.native_stream() == nullptr) return "its device is a CPU";
#if defined(HIPGPT_WAVE_SIZE)  // the emulated platform
  if (std::getenv(hip::kVariable) == nullptr) return "its GPU is emulated";
#endif
  try {
    Nccl::library();
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

std::unique_ptr<Communicator> make_gpu_communicator(Device& device, Team& team) {
  return std::make_unique<GpuCommunicator>(device, team);
}

}  // namespace hipgpt
