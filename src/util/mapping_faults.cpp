#include "util/mapping_faults.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <mutex>

#include "util/terminal.h"

namespace hipgpt {
namespace {

/// One mapping and the message to print if it is lost, formatted in advance because a signal handler must not
/// format text. A thread may be in the handler while another adds a mapping, so entries are never freed, only
/// reused.
struct Mapping {
  std::atomic<uintptr_t> begin{0};  // 0: unused; only then may the rest change
  size_t size = 0;
  std::string line;
  Mapping* next = nullptr;
};

std::atomic<Mapping*> mappings{nullptr};
std::mutex changes;
std::string program_name;
struct sigaction previous;

std::string line_for(const std::string& path) {
  std::string line = fmt::format(
      "{}: {}: became shorter or unreadable while it was in use; restore it and run again, and change no "
      "file in place that is in use",
      program_name, path);
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return std::iscntrl(c); }, ' ');
  return (is_terminal(stderr) ? terminal_text(line) : line) + '\n';
}

/// Uses only what a signal handler may use. Any other SIGBUS goes to the previous handler: a fault when the
/// instruction is retried, a sent signal when it is raised again.
void on_bus_error(int, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  const bool is_fault = info->si_code > 0;  // otherwise a process sent the signal, without an address
  for (const Mapping* m = mappings.load(); is_fault && m != nullptr; m = m->next) {
    const uintptr_t begin = m->begin.load();
    if (begin == 0 || address < begin || address - begin >= m->size) continue;
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, m->line.data(), m->line.size());
    ::_exit(1);
  }
  ::sigaction(SIGBUS, &previous, nullptr);
  if (!is_fault) ::raise(SIGBUS);
}

Mapping& unused_mapping() {
  for (Mapping* m = mappings.load(); m != nullptr; m = m->next) {
    if (m->begin.load() == 0) return *m;
  }
  auto* added = new Mapping;
  added->next = mappings.load();
  mappings.store(added);
  return *added;
}

}  // namespace

void report_mapping_faults(const std::string& program) {
  program_name = program;
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, &previous);
}

void remember_mapping(const void* begin, size_t size, const std::string& path) {
  const std::lock_guard lock(changes);
  Mapping& mapping = unused_mapping();
  mapping.size = size;
  mapping.line = line_for(path);
  mapping.begin.store(reinterpret_cast<uintptr_t>(begin));
}

void forget_mapping(const void* begin) {
  const std::lock_guard lock(changes);
  for (Mapping* m = mappings.load(); m != nullptr; m = m->next) {
    if (m->begin.load() == reinterpret_cast<uintptr_t>(begin)) m->begin.store(0);
  }
}

}  // namespace hipgpt
