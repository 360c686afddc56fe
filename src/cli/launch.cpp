#include "cli/launch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "comm/place.h"
#include "comm/team.h"
#include "device.h"
#include "error.h"
#include "util/number_text.h"

namespace hipgpt {

namespace {

constexpr int kToEnd = 30;  // seconds for the others after a process has failed

void check_gpus(int count) {
  int gpus = 0;
  std::string why;
  for (const DeviceInfo& info : list_devices()) {
    if (info.emulated) return;  // any number of processes can emulate one
    if (!info.name.starts_with("hip")) continue;
    if (info.usable) {
      ++gpus;
    } else {
      why = ": " + info.description;
    }
  }
  if (count <= gpus) return;
  throw Error(fmt::format("--gpus {}: this machine has {}{}", count,
                          counted(static_cast<uint64_t>(gpus), "GPU"), why));
}

/// The signals that process 0 handles, unless this process ignores them, and the end of a process.
sigset_t awaited_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_IGN) {
      sigaddset(&signals, signal);
    }
  }
  return signals;
}

/// Becomes process `rank`: does not return.
[[noreturn]] void become(int rank, int count, uint16_t port, char** arguments, const sigset_t& signals) {
  const std::pair<const char*, std::string> variables[] = {
      {"RANK", std::to_string(rank)},       {"WORLD_SIZE", std::to_string(count)},
      {"LOCAL_RANK", std::to_string(rank)}, {"LOCAL_WORLD_SIZE", std::to_string(count)},
      {"MASTER_ADDR", "127.0.0.1"},         {"MASTER_PORT", std::to_string(port)}};
  for (const auto& [name, value] : variables) ::setenv(name, value.c_str(), 1);
  ::unsetenv("TORCHELASTIC_USE_AGENT_STORE");
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // if this launcher is killed, the run is saved
  ::sigprocmask(SIG_SETMASK, &signals, nullptr);
  if (rank > 0) {
    const int nothing = ::open("/dev/null", O_RDONLY);
    if (nothing >= 0) ::dup2(nothing, STDIN_FILENO);
  }
  ::execv("/proc/self/exe", arguments);
  ::_exit(127);
}

int status_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

/// Waits until all processes have ended.
int wait_for(std::vector<pid_t> processes, const sigset_t& signals) {
  const pid_t leader = processes[0];
  int leader_status = 0, other_status = 0;
  std::time_t kill_at = 0;
  while (!processes.empty()) {
    const timespec soon{1, 0};
    const int signal = ::sigtimedwait(&signals, nullptr, &soon);
    if (signal > 0 && signal != SIGCHLD && processes[0] == leader) ::kill(leader, signal);
    int wait_status = 0;
    for (pid_t ended; (ended = ::waitpid(-1, &wait_status, WNOHANG)) > 0;) {
      std::erase(processes, ended);
      const int status = status_of(wait_status);
      if (ended == leader) leader_status = status;
      if (ended != leader && other_status == 0) other_status = status;
      if (status != 0 && kill_at == 0) kill_at = std::time(nullptr) + kToEnd;
    }
    if (kill_at == 0 || std::time(nullptr) < kill_at) continue;
    for (const pid_t process : processes) ::kill(process, SIGKILL);
  }
  return leader_status != 0 ? leader_status : other_status;
}

}  // namespace

bool must_launch(int gpus) {
  const Place place = place_in_environment();
  if (gpus == 1 || place.size == gpus) return false;
  if (place.size == 1 && !place.mpi) return true;
  throw Error(fmt::format("--gpus {}: a launcher has already started the processes; drop the flag", gpus));
}

int launch(int count, char** arguments) {
  check_gpus(count);
  const uint16_t port = Team::Listener(0).port();  // free now, and taken again by process 0
  const sigset_t signals = awaited_signals();
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &signals, &before);
  std::vector<pid_t> processes;
  for (int rank = 0; rank < count; ++rank) {
    const pid_t process = ::fork();
    if (process == 0) become(rank, count, port, arguments, before);
    if (process < 0) {
      const int error = errno;
      for (const pid_t started : processes) ::kill(started, SIGKILL);
      throw Error(
          fmt::format("process {} of {} cannot be started: {}", rank + 1, count, std::strerror(error)));
    }
    processes.push_back(process);
  }
  return wait_for(std::move(processes), signals);
}

}  // namespace hipgpt
