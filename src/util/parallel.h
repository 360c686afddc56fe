// Distributes numbered jobs among threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "util/available_cores.h"

namespace hipgpt {

/// Returns `requested`, or one thread per core if it is 0.
inline int thread_count(int requested) {
  return requested > 0 ? requested : available_cores();
}

/// Calls body(job, thread) once for each job < jobs on `threads` threads, each of which takes the next job
/// when it is free. The jobs are long (a megabyte), so each call can afford to create its threads.
/// After an exception no new job starts, and the exception is rethrown here.
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

/// Runs a stream of jobs: take(job) creates the next one or returns false if none is left, work(job, thread)
/// does it, and finish(job) completes it. Only one thread at a time calls take() or finish(). The calls of
/// finish() follow the order in which the jobs were taken. A thread holds one job, so memory does not grow
/// with the number of jobs. An exception stops all threads and is rethrown here.
template <typename Job, typename Take, typename Work, typename Finish>
void parallel_in_order(int threads, Take&& take, Work&& work, Finish&& finish) {
  std::mutex mutex;
  std::condition_variable finished_one;
  size_t taken = 0, finished = 0;
  std::exception_ptr failure;
  const auto run = [&](int thread) {
    try {
      Job job;
      while (true) {
        std::unique_lock lock(mutex);
        if (failure || !take(job)) return;
        const size_t number = taken++;
        lock.unlock();
        work(job, thread);
        lock.lock();
        finished_one.wait(lock, [&] { return failure || finished == number; });
        if (failure) return;
        finish(job);
        ++finished;
        finished_one.notify_all();
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
      finished_one.notify_all();
    }
  };
  {
    std::vector<std::jthread> others;
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(run, thread);
    run(0);
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace hipgpt
