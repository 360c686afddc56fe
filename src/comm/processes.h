// Processes: the processes of a run, from their start to their end.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "comm/mpi.h"
#include "comm/team.h"
#include "communicator.h"
#include "device.h"

namespace hipgpt {

/// The processes that a launcher started, or this one alone.
class Processes {
 public:
  /// Finds the others and connects to them. `report` is Team's.
  explicit Processes(const std::function<void(const std::string&)>& report);

  Team& team() { return *team_; }
  int size() const { return place_.size; }
  bool is_leader() const { return place_.rank == 0; }

  /// The device of this process, by the name of the run's device: "auto" and "hip" are a GPU of its own.
  std::string device(const std::string& name) const;

  /// The CPU threads of this process, by the number that the user chose; 0 means all cores. Processes of one
  /// host share its cores, unless the launcher has bound each to some.
  int threads(int chosen) const;

  /// The collectives between the devices of all processes: by NCCL or RCCL if each has a GPU and the library,
  /// else by MPI. Throws Error without MPI.
  Communicator& connect(Device& device);

  /// What must be equal in all processes, by name.
  using Facts = std::map<std::string, std::string>;

  /// Throws Error in the leader, naming the process, the fact and both values, if a process has others.
  void agree(const Facts& mine);

  /// Runs `f`, the work of this process, waits for the others, and returns its exit status. If it throws, all
  /// processes end with status 1 and the leader reports why; the only process of a run throws it again.
  int run(const std::function<int()>& f);

 private:
  /// The problem of the process with the lowest rank that has one, preceded by its name, or empty. All processes
  /// call this.
  std::string first_problem(const std::string& mine);

  std::unique_ptr<Mpi> mpi_;  // null without it
  std::function<void(const std::string&)> report_;
  Place place_;
  std::unique_ptr<Team> team_;
  std::unique_ptr<Communicator> communicator_;  // uses the team
};

/// Identifies the program that runs: the hash of its file.
std::string program_hash();

}  // namespace hipgpt
