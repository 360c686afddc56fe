// Shares out numbered jobs among threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "util/available_cores.h"

namespace hipgpt {

/// The number of threads that `requested` means: itself, or one for each core for 0.
inline int thread_count(int requested) {
  return requested > 0 ? requested : available_cores();
}

/// Calls body(job, thread) once for each job < jobs, on `threads` threads, each taking the next job when it
/// is free. The jobs are long (a megabyte of text), so threads are made for each call. After an exception no
/// new jobs are begun, and it is rethrown here.
template <typename Body>
void parallel_for(size_t jobs, int threads, Body&& body) {
  std::atomic<size_t> next_job = 0;
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto work = [&](int thread) {
    try {
      for (size_t job; (job = next_job++) < jobs;) body(job, thread);
    } catch (...) {
      next_job = jobs;
      const std::lock_guard lock(failure_mutex);
      failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    const int needed = static_cast<int>(std::min(jobs, static_cast<size_t>(threads)));
    for (int thread = 1; thread < needed; ++thread) others.emplace_back(work, thread);
    work(0);
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace hipgpt
