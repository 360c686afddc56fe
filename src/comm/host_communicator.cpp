#include "comm/host_communicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "error.h"

namespace hipgpt {

namespace {

/// For a sum, each process receives one part of the tensor from all others, adds it in order of rank, and sends
/// the result to all. MPI_Allreduce would move as many bytes, but its order of additions depends on the
/// library and the network.
class HostCommunicator final : public Communicator {
 public:
  HostCommunicator(Device& device, Team& team, Mpi& mpi)
      : device_(device), team_(team), mpi_(mpi), direct_(device.reads_host_memory()), worker_([this] {
          work();
        }) {}

  ~HostCommunicator() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    worker_.join();
  }

  int rank() const override { return team_.rank(); }
  int size() const override { return team_.size(); }
  bool can_be_captured() const override { return direct_; }  // a CPU's graph calls its function again
  double seconds() const override { return seconds_; }

  std::string description() const override {
    return fmt::format("{}, connected by {}", size(), mpi_.version());
  }

  void all_reduce(Tensor t) override {
    start(t, [this](float* data, int64_t count) {
      for (int64_t first = 0; first < count; first += kPiece) {
        Parts parts;
        for (int r = 0; r < size(); ++r) parts.push_back(part(share(std::min(kPiece, count - first), r)));
        add_parts(data + first, parts);
        gather_parts(data + first, parts);
      }
    });
  }

  void reduce_scatter(Tensor t) override {
    start(t, [this](float* data, int64_t count) {
      for_pieces_of_slices(count, [&](const Parts& parts) { add_parts(data, parts); });
    });
  }

  void all_gather(Tensor t) override {
    start(t, [this](float* data, int64_t count) {
      for_pieces_of_slices(count, [&](const Parts& parts) { gather_parts(data, parts); });
    });
  }

  void broadcast(Tensor t) override {
    start(t, [this](float* data, int64_t count) {
      mpi_.broadcast(data, static_cast<size_t>(count) * sizeof(float));
    });
  }

  void wait() override {
    const auto before = Clock::now();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return jobs_.empty() && !busy_; });
    seconds_ += std::chrono::duration<double>(Clock::now() - before).count();
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

  void sum(std::span<double> values) override {
    const auto before = Clock::now();
    team_.sum(values);
    seconds_ += std::chrono::duration<double>(Clock::now() - before).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Parts = std::vector<Mpi::Part>;
  using Collective = std::function<void(float* data, int64_t count)>;

  static constexpr int64_t kPiece = 1 << 22;  // floats exchanged at a time, 16 MiB

  static Mpi::Part part(Range range) { return {static_cast<int>(range.begin), static_cast<int>(range.end)}; }

  /// On a CPU, the worker runs the collective beside later operations.
  void start(Tensor t, Collective collective) {
    if (t.size() > std::numeric_limits<int>::max())
      throw Error("MPI takes tensors of fewer than 2^31 elements");
    if (!direct_) {
      std::vector<float> copy(static_cast<size_t>(t.size()));
      device_.copy_to_host(copy.data(), t);
      const auto before = Clock::now();
      collective(copy.data(), t.size());
      seconds_ += std::chrono::duration<double>(Clock::now() - before).count();
      device_.copy_to_device(t, copy.data());
      return;
    }
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back([t, collective = std::move(collective)] { collective(t.f32(), t.size()); });
    }
    changed_.notify_all();
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stop_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      const auto job = std::move(jobs_.front());
      jobs_.pop_front();
      busy_ = true;
      lock.unlock();
      std::exception_ptr failure;
      try {
        job();
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      busy_ = false;
      if (failure) failure_ = failure;
      changed_.notify_all();
    }
  }

  /// Calls f for parts of the slices of all processes, which are kPiece floats together.
  template <typename F>
  void for_pieces_of_slices(int64_t count, const F& f) const {
    const int64_t longest = slice(count, size() - 1).size(), length = std::max<int64_t>(1, kPiece / size());
    for (int64_t done = 0; done < longest; done += length) {
      Parts parts;
      for (int r = 0; r < size(); ++r) {
        const Range whole = slice(count, r);
        const int64_t begin = std::min(whole.end, whole.begin + done);
        parts.push_back(part({begin, std::min(whole.end, begin + length)}));
      }
      f(parts);
    }
  }

  /// The part of this process = its sum over all processes.
  void add_parts(float* data, const Parts& parts) {
    const Mpi::Part mine = parts[static_cast<size_t>(rank())];
    const int64_t n = mine.end - mine.begin;
    terms_.resize(static_cast<size_t>(n) * parts.size());
    mpi_.exchange(data, parts, terms_.data());
    float* const sums = data + mine.begin;
    const float* const terms = terms_.data();
    std::copy(terms, terms + n, sums);
    for (int64_t r = 1; r < size(); ++r) {
      for (int64_t i = 0; i < n; ++i) sums[i] += terms[r * n + i];
    }
  }

  /// Each part, from its process to all.
  void gather_parts(float* data, const Parts& parts) { mpi_.gather(data, parts); }

  Device& device_;
  Team& team_;
  Mpi& mpi_;
  const bool direct_;  // tensors are in the host's memory
  std::vector<float> terms_;
  double seconds_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;  // guarded by mutex_, like the next three
  bool busy_ = false, stop_ = false;
  std::exception_ptr failure_;
  std::thread worker_;  // last, because it uses the others
};

}  // namespace

std::unique_ptr<Communicator> make_host_communicator(Device& device, Team& team, Mpi& mpi) {
  return std::make_unique<HostCommunicator>(device, team, mpi);
}

}  // namespace hipgpt
