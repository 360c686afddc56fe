// Place: which of the processes of a run this one is, as its launcher says.
#pragma once

#include <cstdint>
#include <string>

namespace hipgpt {

struct Place {
  int rank = 0;        ///< 0 to size - 1; process 0 is the leader
  int size = 1;        ///< the number of processes
  int local_rank = 0;  ///< the rank among the processes of this host: its GPU
  int local_size = 1;  ///< the number of processes of this host, as far as the launcher says
  bool mpi = false;    ///< started by an MPI launcher, which also connects the processes

  // Where the leader listens. MPI tells it later.
  std::string leader;  ///< host name or address
  uint16_t port = 0;   ///< 0: any
};

/// Reads the environment that a launcher sets. In this order: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and
/// MASTER_PORT (torchrun), then MPI's launchers, then Slurm's srun. Without any of
/// them, this is the only process. Throws Error if a variable is missing or is not a valid number.
Place place_in_environment();

/// The first host of Slurm's list: "node[07-09,12],x1" is "node07".
std::string first_host(const std::string& slurm_list);

}  // namespace hipgpt
