// Tests that every piece of every loop runs once before the loop ends, with any number of threads.
#include "cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <new>
#include <numeric>
#include <thread>
#include <vector>

namespace hipgpt::cpu {
namespace {

TEST(ThreadPoolTest, CallsEveryPieceOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const int64_t count : {0, 1, 2, 3, 7, 100, 5000}) {
      std::vector<int> calls(static_cast<size_t>(count), 0);
      pool.run(count, [&](int64_t i) { ++calls[static_cast<size_t>(i)]; });
      EXPECT_EQ(calls, std::vector<int>(calls.size(), 1)) << threads << " threads, " << count << " pieces";
    }
  }
}

TEST(ThreadPoolTest, ManyShortLoopsSeeWhatEarlierLoopsWrote) {
  ThreadPool pool(4);
  std::vector<int64_t> values(13, 0);
  for (int loop = 0; loop < 20000; ++loop) {
    pool.run(static_cast<int64_t>(values.size()), [&](int64_t i) { ++values[static_cast<size_t>(i)]; });
    if (loop % 1000 == 999) std::rotate(values.begin(), values.begin() + 5, values.end());
  }
  EXPECT_EQ(values, std::vector<int64_t>(13, 20000));
}

TEST(ThreadPoolTest, WorksAfterItsThreadsHaveGoneToSleep) {
  ThreadPool pool(3);
  for (int loop = 0; loop < 3; ++loop) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::vector<int> calls(50, 0);
    pool.run(50, [&](int64_t i) { ++calls[static_cast<size_t>(i)]; });
    EXPECT_EQ(std::accumulate(calls.begin(), calls.end(), 0), 50);
  }
}

TEST(ThreadPoolTest, RethrowsAnExceptionWhenTheLoopIsOver) {
  for (const int threads : {1, 4}) {
    ThreadPool pool(threads);
    for (int loop = 0; loop < 100; ++loop) {
      EXPECT_THROW(pool.run(9,
                            [](int64_t i) {
                              if (i % 2 == 0) throw std::bad_alloc();
                            }),
                   std::bad_alloc);
      std::atomic<int> calls{0};
      pool.run(9, [&](int64_t) { ++calls; });
      EXPECT_EQ(calls, 9);
    }
  }
}

TEST(ThreadPoolTest, SharesTheWork) {
  ThreadPool pool(2);
  std::atomic<int> inside{0}, together{0};
  for (int attempt = 0; attempt < 50 && together == 0; ++attempt) {  // a busy machine may need several
    pool.run(2, [&](int64_t) {
      ++inside;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      if (inside == 2) ++together;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      --inside;
    });
  }
  EXPECT_GT(together, 0);
}

}  // namespace
}  // namespace hipgpt::cpu
