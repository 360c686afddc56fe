// Code that must run before main(), before constructors, and before a program's shared libraries are
// initialised.
//
// OpenBLAS starts a thread for every core while it is loaded. Each thread asks for 128 MiB of address
// space and retries forever if it gets none. HipGPT does not use these threads (cpu/matmul.cpp). If address
// space is limited (ulimit -v), the program therefore restarts itself with the environment variable that
// tells OpenBLAS to start no threads.
#include <sys/resource.h>
#include <unistd.h>

#include <climits>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace {

constexpr char kName[] = "OPENBLAS_NUM_THREADS=", kSetting[] = "OPENBLAS_NUM_THREADS=1";

bool is_limited(decltype(RLIMIT_AS) resource) {
  rlimit limit;
  return ::getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

/// Takes the arguments of main(); getenv() does not read `environment` yet. If anything fails, the program
/// continues unchanged.
void start_without_blas_threads(int, char** arguments, char** environment) {
  if (!is_limited(RLIMIT_AS) && !is_limited(RLIMIT_DATA)) return;
  size_t count = 0;
  for (; environment[count] != nullptr; ++count) {
    if (std::strcmp(environment[count], kSetting) == 0) return;  // this is the second start
  }
  auto** changed = static_cast<const char**>(std::calloc(count + 2, sizeof(char*)));
  char program[PATH_MAX] = {};  // /proc/self/exe itself would become the name of the process
  if (changed == nullptr || ::readlink("/proc/self/exe", program, sizeof(program) - 1) <= 0) return;
  changed[0] = kSetting;
  size_t kept = 1;
  for (size_t i = 0; i < count; ++i) {
    if (std::strncmp(environment[i], kName, sizeof(kName) - 1) != 0) changed[kept++] = environment[i];
  }
  ::execve(program, arguments, const_cast<char**>(changed));
  std::free(changed);
}

// The functions in this section run before everything else in a process.
[[gnu::section(".preinit_array"), gnu::used]] void (*run_first)(int, char**,
                                                                char**) = start_without_blas_threads;

}  // namespace
