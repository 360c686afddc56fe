#include "comm/mpi.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>

#include "error.h"

namespace hipgpt {

namespace {

constexpr const char* kModule = "libhipgpt_mpi.so";

/// Beside the program, as in a build folder, or where an installation has it. Empty if neither.
std::string module_path() {
  std::error_code error;
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const auto& path : {folder / kModule, folder / HIPGPT_MODULE_FOLDER / kModule}) {
    if (std::filesystem::exists(path, error)) return path.string();
  }
  return {};
}

}  // namespace

bool has_mpi() {
  return !module_path().empty();
}

std::unique_ptr<Mpi> start_mpi() {
  const std::string path = module_path();
  if (path.empty()) {
    throw Error(
        "an MPI launcher started this program, but its build has no MPI: install libopenmpi-dev or "
        "libmpich-dev "
        "and configure the build again");
  }
  // MPI's own modules look for its functions among those of the whole program.
  void* const module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  void* const start = module == nullptr ? nullptr : ::dlsym(module, "hipgpt_start_mpi");
  if (start == nullptr) throw Error(fmt::format("{}: cannot be loaded: {}", path, ::dlerror()));
  return std::unique_ptr<Mpi>(reinterpret_cast<Mpi* (*)()>(start)());
}

}  // namespace hipgpt
