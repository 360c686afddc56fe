// The functions of NCCL for emulated GPUs: processes of one host exchange tensors in shared memory. Sums are
// added in order of rank. Only for programs that contain the emulated platform and export its functions.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "comm/nccl.h"
#include "platform/emulated/runtime.h"

namespace {

using hipgpt::hip::Nccl;

constexpr size_t kSlot = size_t{16} << 20;  // bytes that a process can give at a time

/// In shared memory, which starts as zeros.
struct Header {
  std::atomic<int> arrived, turn;
};

[[noreturn]] void give_up(const char* why) {
  std::perror(why);
  std::abort();
}

}  // namespace

struct ncclComm {
  int rank, size;
  Header* header;
  char* slots;

  void barrier() {
    const int turn = header->turn;
    if (++header->arrived == size) {
      header->arrived = 0;
      ++header->turn;
      return;
    }
    while (header->turn == turn) ::sched_yield();
  }

  const float* slot(int r) const { return reinterpret_cast<const float*>(slots + size_t(r) * kSlot); }

  /// Every process gives `bytes`, and then calls `take`, which may read the slots of all.
  hipError_t exchange(const void* in, size_t bytes, hipStream_t stream, std::function<void()> take) {
    if (bytes > kSlot) give_up("fake NCCL: the tensor is too large");
    return hipgpt::emulated::enqueue(stream, [=, this] {
      std::memcpy(slots + size_t(rank) * kSlot, in, bytes);
      barrier();
      take();
      barrier();
    });
  }

  void add(void* out, size_t first, size_t count) const {
    auto* const sums = static_cast<float*>(out);
    for (size_t i = 0; i < count; ++i) {
      float sum = 0.0f;
      for (int r = 0; r < size; ++r) sum += slot(r)[first + i];
      sums[i] = sum;
    }
  }
};

namespace {

Nccl::Result result(hipError_t error) {
  return error == hipSuccess ? Nccl::kSuccess : static_cast<Nccl::Result>(1);
}

size_t bytes_of(size_t count, Nccl::Type type) {
  return type == Nccl::kFloat32 ? count * sizeof(float) : count;
}

}  // namespace

extern "C" {

Nccl::Result ncclGetVersion(int* version) {
  *version = 2'00'01;
  return Nccl::kSuccess;
}

Nccl::Result ncclGetUniqueId(Nccl::UniqueId* id) {
  std::snprintf(id->bytes, sizeof id->bytes, "/fake-nccl-%d", ::getpid());
  return Nccl::kSuccess;
}

Nccl::Result ncclCommInitRank(ncclComm** out, int size, Nccl::UniqueId id, int rank) {
  const int file = ::shm_open(id.bytes, O_RDWR | O_CREAT, 0600);
  const size_t bytes = kSlot * static_cast<size_t>(size + 1);
  if (file < 0 || ::ftruncate(file, static_cast<off_t>(bytes)) != 0) give_up("fake NCCL: shm_open");
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) give_up("fake NCCL: mmap");
  ::close(file);
  *out = new ncclComm{rank, size, static_cast<Header*>(memory), static_cast<char*>(memory) + kSlot};
  (*out)->barrier();
  if (rank == 0) ::shm_unlink(id.bytes);
  return Nccl::kSuccess;
}

Nccl::Result ncclCommGetAsyncError(ncclComm*, Nccl::Result* error) {
  *error = Nccl::kSuccess;
  return Nccl::kSuccess;
}

Nccl::Result ncclCommDestroy(ncclComm* comm) {
  ::munmap(comm->header, kSlot * static_cast<size_t>(comm->size + 1));
  delete comm;
  return Nccl::kSuccess;
}

Nccl::Result ncclAllReduce(const void* in, void* out, size_t count, Nccl::Type type, Nccl::Operation,
                           ncclComm* comm, hipStream_t stream) {
  return result(comm->exchange(in, bytes_of(count, type), stream, [=] { comm->add(out, 0, count); }));
}

Nccl::Result ncclReduceScatter(const void* in, void* out, size_t count, Nccl::Type type, Nccl::Operation,
                               ncclComm* comm, hipStream_t stream) {
  const size_t size = static_cast<size_t>(comm->size), rank = static_cast<size_t>(comm->rank);
  return result(
      comm->exchange(in, bytes_of(count, type) * size, stream, [=] { comm->add(out, rank * count, count); }));
}

Nccl::Result ncclReduce(const void* in, void* out, size_t count, Nccl::Type type, Nccl::Operation, int root,
                        ncclComm* comm, hipStream_t stream) {
  return result(comm->exchange(in, bytes_of(count, type), stream, [=] {
    if (comm->rank == root) comm->add(out, 0, count);
  }));
}

Nccl::Result ncclAllGather(const void* in, void* out, size_t count, Nccl::Type type, ncclComm* comm,
                           hipStream_t stream) {
  const size_t bytes = bytes_of(count, type);
  return result(comm->exchange(in, bytes, stream, [=] {
    for (int r = 0; r < comm->size; ++r)
      std::memcpy(static_cast<char*>(out) + static_cast<size_t>(r) * bytes, comm->slot(r), bytes);
  }));
}

Nccl::Result ncclBroadcast(const void* in, void* out, size_t count, Nccl::Type type, int root, ncclComm* comm,
                           hipStream_t stream) {
  const size_t bytes = bytes_of(count, type);
  return result(comm->exchange(in, bytes, stream, [=] { std::memcpy(out, comm->slot(root), bytes); }));
}

const char* ncclGetErrorString(Nccl::Result) {
  return "an error of the emulated runtime";
}
}
