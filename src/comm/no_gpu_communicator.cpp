// Collectives between GPUs in a build without GPUs.
#include "comm/gpu_communicator.h"
#include "error.h"

namespace hipgpt {

std::string why_no_gpu_communicator(const Device&) {
  return "its device is a CPU";
}

std::unique_ptr<Communicator> make_gpu_communicator(Device& device, Team&) {
  throw Error(why_no_gpu_communicator(device));
}

}  // namespace hipgpt
