// Processes of a run as threads of a test.
#pragma once

#include <algorithm>
#include <barrier>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "comm/host_communicator.h"
#include "comm/team.h"
#include "device.h"

namespace hipgpt {

/// Runs f in a thread for each rank, with the Team that connects them.
inline void with_team(int size, const std::function<void(Team& team)>& f) {
  Team::Listener listener(0);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      Place place;
      place.rank = rank;
      place.size = size;
      place.port = listener.port();
      Team team(place, rank == 0 ? &listener : nullptr, {"127.0.0.1"}, 42, [](const std::string&) {});
      f(team);
      team.end();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

/// MPI among the threads of this process.
class FakeMpi final : public Mpi {
 public:
  struct Shared {
    explicit Shared(int size) : barrier(size), blocks(static_cast<size_t>(size)) {}
    std::barrier<> barrier;
    std::vector<const float*> blocks;
    const void* source = nullptr;
  };

  FakeMpi(Shared& shared, int rank) : shared_(shared), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(shared_.blocks.size()); }
  int local_rank() const override { return rank_; }
  int local_size() const override { return size(); }
  std::string version() const override { return "threads"; }
  void finish() override {}

  void broadcast(void* data, size_t bytes) override {
    if (rank_ == 0) shared_.source = data;
    shared_.barrier.arrive_and_wait();
    if (rank_ != 0) std::memcpy(data, shared_.source, bytes);
    shared_.barrier.arrive_and_wait();
  }

  void exchange(const float* block, std::span<const Part> parts, float* received) override {
    publish(block);
    const Part mine = parts[static_cast<size_t>(rank_)];
    for (const float* other : shared_.blocks)
      received = std::copy(other + mine.begin, other + mine.end, received);
    shared_.barrier.arrive_and_wait();
  }

  void gather(float* block, std::span<const Part> parts) override {
    publish(block);
    for (size_t r = 0; r < parts.size(); ++r) {
      if (static_cast<int>(r) == rank_) continue;
      std::copy(shared_.blocks[r] + parts[r].begin, shared_.blocks[r] + parts[r].end, block + parts[r].begin);
    }
    shared_.barrier.arrive_and_wait();
  }

 private:
  void publish(const float* block) {
    shared_.blocks[static_cast<size_t>(rank_)] = block;
    shared_.barrier.arrive_and_wait();
  }

  Shared& shared_;
  int rank_;
};

/// Runs f in a thread for each rank, with a CPU device of its own.
inline void with_processes(int size, const std::function<void(Device&, Communicator&)>& f) {
  FakeMpi::Shared shared(size);
  with_team(size, [&](Team& team) {
    const auto device = make_device("cpu", 1);
    FakeMpi mpi(shared, team.rank());
    const auto communicator = make_host_communicator(*device, team, mpi);
    f(*device, *communicator);
  });
}

}  // namespace hipgpt
