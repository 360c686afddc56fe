// Communicator: what the processes of one training run do together.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "tensor.h"

namespace hipgpt {

/// The N processes of a run, each with its own device and the same model. Each has a rank from 0 to N-1. All
/// processes call the same collective functions in the same order, with tensors of the same sizes.
///
/// A collective on tensors starts when the device's earlier operations are done, and may run beside later
/// ones. Its tensors must not be used before wait(). They are contiguous, and those that are added are fp32.
///
/// A process whose partner has died or cannot be reached ends with an error message. It does not hang.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// Indices [begin, end).
  struct Range {
    int64_t begin, end;
    int64_t size() const { return end - begin; }
  };

  /// The part of `count` things that `rank` takes. The parts are consecutive and differ by one at most.
  Range share(int64_t count, int rank) const { return {count * rank / size(), count * (rank + 1) / size()}; }
  Range share(int64_t count) const { return share(count, rank()); }

  /// The part of a tensor of `count` elements that `rank` owns. The parts are consecutive and equally long, a
  /// multiple of 64 elements, so that vector loads stay aligned. The last one also takes the remainder.
  Range slice(int64_t count, int rank) const {
    const int64_t length = count / size() / 64 * 64;
    return {length * rank, rank + 1 == size() ? count : length * (rank + 1)};
  }
  Range slice(int64_t count) const { return slice(count, rank()); }

  /// t = the sum of t over all processes. The order of the additions depends only on N and the size, so equal
  /// inputs give equal bits in every process and every run.
  virtual void all_reduce(Tensor t) = 0;

  /// slice(t) of each process = its sum over all processes. The rest of t is undefined.
  virtual void reduce_scatter(Tensor t) = 0;

  /// t = the slices of all processes, each from its owner.
  virtual void all_gather(Tensor t) = 0;

  /// t = t of process 0.
  virtual void broadcast(Tensor t) = 0;

  /// Operations of the device that come later wait for all collectives that have started.
  virtual void wait() = 0;

  /// Whether collectives and wait() may be called within Device::capture().
  virtual bool can_be_captured() const = 0;

  /// values = their sums over all processes, added in order of rank, in host memory. Waits.
  virtual void sum(std::span<double> values) = 0;

  /// Seconds that this process has spent in wait() and in sum(), or 0 where the host does not wait.
  virtual double seconds() const = 0;

  /// One line to show to the user.
  virtual std::string description() const = 0;
};

/// The only process of a run. Its functions do nothing.
Communicator& single_process();

}  // namespace hipgpt
