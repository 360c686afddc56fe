// Collectives in the memory of the host, by MPI.
#pragma once

#include <memory>

#include "comm/mpi.h"
#include "comm/team.h"
#include "communicator.h"
#include "device.h"

namespace hipgpt {

/// Tensors of a GPU are copied to the host and back. The others must outlive the communicator.
std::unique_ptr<Communicator> make_host_communicator(Device& device, Team& team, Mpi& mpi);

}  // namespace hipgpt
