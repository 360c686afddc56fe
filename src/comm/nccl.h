// The functions of NCCL and RCCL that HipGPT calls. Both libraries have the same interface.
//
// They are declared here and loaded when several processes start, so that neither a build nor a program with
// one GPU needs the library. The names and values are those of nccl.h since version 2.10, and of rccl.h.
#pragma once

#include <hip/hip_runtime.h>

#include <cstddef>
#include <string>

namespace hipgpt::hip {

struct Nccl {
  using Communicator = struct ncclComm*;
  struct UniqueId {
    char bytes[128];
  };
  enum Result : int { kSuccess = 0 };
  enum Type : int { kInt8 = 0, kFloat32 = 7 };
  enum Operation : int { kSum = 0 };

  Result (*GetVersion)(int* version);
  Result (*GetUniqueId)(UniqueId* id);
  Result (*CommInitRank)(Communicator* communicator, int size, UniqueId id, int rank);
  Result (*CommGetAsyncError)(Communicator communicator, Result* error);
  Result (*CommDestroy)(Communicator communicator);
  Result (*AllReduce)(const void* in, void* out, size_t count, Type type, Operation operation,
                      Communicator communicator, hipStream_t stream);
  Result (*ReduceScatter)(const void* in, void* out, size_t count, Type type, Operation operation,
                          Communicator communicator, hipStream_t stream);
  Result (*Reduce)(const void* in, void* out, size_t count, Type type, Operation operation, int root,
                   Communicator communicator, hipStream_t stream);
  Result (*AllGather)(const void* in, void* out, size_t count, Type type, Communicator communicator,
                      hipStream_t stream);
  Result (*Broadcast)(const void* in, void* out, size_t count, Type type, int root, Communicator communicator,
                      hipStream_t stream);
  const char* (*GetErrorString)(Result result);

  /// The library that HIPGPT_NCCL names, or else that of this platform. Throws Error if it cannot be loaded.
  static const Nccl& library();

  /// "NCCL 2.28.3".
  std::string name() const;
};

}  // namespace hipgpt::hip
