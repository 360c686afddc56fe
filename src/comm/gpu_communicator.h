// Collectives between GPUs, by NCCL or by AMD's RCCL, which has the same functions.
#pragma once

#include <memory>
#include <string>

#include "comm/team.h"
#include "communicator.h"
#include "device.h"

namespace hipgpt {

/// Why the device of this process cannot take part: it is not a GPU, or the library cannot be loaded. Empty
/// if it can.
std::string why_no_gpu_communicator(const Device& device);

/// All processes of the team call this, each with a GPU of its own. The others must outlive the communicator.
/// Throws Error if the library cannot connect the GPUs.
std::unique_ptr<Communicator> make_gpu_communicator(Device& device, Team& team);

}  // namespace hipgpt
