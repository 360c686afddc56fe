// MPI, as a module that is loaded only into a process that an MPI launcher started. So the programs themselves
// do not depend on MPI.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace hipgpt {

/// What this project uses of MPI. All processes call the same functions in the same order, and each process
/// calls one at a time. MPI itself ends the program if a call fails.
class Mpi {
 public:
  virtual ~Mpi() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual int local_rank() const = 0;  ///< among the processes of this host
  virtual int local_size() const = 0;
  virtual std::string version() const = 0;

  /// Every process gets the bytes of process 0.
  virtual void broadcast(void* data, size_t bytes) = 0;

  /// Elements [begin, end) of a block of floats. A block has fewer than 2^31 floats.
  struct Part {
    int begin, end;
  };

  /// received[r] = part `rank()` of the block of process r. parts[r] is what process r receives of this block;
  /// all processes pass the same parts.
  virtual void exchange(const float* block, std::span<const Part> parts, float* received) = 0;

  /// Part r of the block = that of process r.
  virtual void gather(float* block, std::span<const Part> parts) = 0;

  /// Waits for all processes to end MPI. After an error it is not called, and the launcher clears up.
  virtual void finish() = 0;
};

/// Whether the module is installed beside the program.
bool has_mpi();

/// Loads the module and starts MPI. Throws Error if there is no module.
std::unique_ptr<Mpi> start_mpi();

}  // namespace hipgpt
