// Tests of the emulated HIP device: it does what a GPU does, and it detects the mistakes that it exists to
// detect.
//
// This file is compiled twice, for waves of 32 and of 64 lanes. Each faulty kernel has a correct twin: only
// the pair shows that the emulator tells them apart.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <functional>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "hip/kernel.h"
#include "hip/launch.h"
#include "hip/reduce.h"
#include "platform/device_array.h"
#include "platform/emulated/emulator.h"
#include "platform/emulated/sanitizer.h"

namespace hipgpt::hip {
namespace {

using emulated::kAddressSanitizer;
using emulated::kPoison;
using emulated::set_shuffle_seed;

constexpr int kThreads = 256;
constexpr uint64_t kSeeds = 50;

std::vector<float> ascending(size_t n) {
  std::vector<float> values(n);
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

class Emulator : public testing::Test {
 protected:
  void SetUp() override { set_shuffle_seed(0); }
  void TearDown() override {
    set_shuffle_seed(0);
    EXPECT_EQ(hipGetLastError(), hipSuccess);
  }
};

/// Tests that end a process. Each one starts a fresh process, because this one has threads.
class EmulatorDeathTest : public Emulator {
 protected:
  void SetUp() override {
    Emulator::SetUp();
    testing::FLAGS_gtest_death_test_style = "threadsafe";
  }
};

// ---- A barrier that is missing ----------------------------------------------------------------------------

template <bool kBarrier>
__global__ void reverse(float* out, const float* in) {
  HIPGPT_SHARED(float, tile, [kThreads]);
  tile[threadIdx.x] = in[threadIdx.x];
  if (kBarrier) __syncthreads();
  out[threadIdx.x] = tile[kThreads - 1 - threadIdx.x];
}

/// Thread i reads what thread i - 1 wrote. In ascending order the value is there even without a barrier.
template <bool kBarrier>
__global__ void shift(float* out, const float* in) {
  HIPGPT_SHARED(float, tile, [kThreads]);
  tile[threadIdx.x] = in[threadIdx.x];
  if (kBarrier) __syncthreads();
  out[threadIdx.x] = threadIdx.x == 0 ? -1.0f : tile[threadIdx.x - 1];
}

/// Ten rotations by one. The second barrier keeps the next round's writers away from this round's readers.
template <bool kSecondBarrier>
__global__ void rotate(float* out, const float* in) {
  HIPGPT_SHARED(float, tile, [kThreads]);
  float value = in[threadIdx.x];
  for (int round = 0; round < 10; ++round) {
    tile[threadIdx.x] = value;
    __syncthreads();
    value = tile[(threadIdx.x + 1) % kThreads];
    if (kSecondBarrier) __syncthreads();
  }
  out[threadIdx.x] = value;
}

using OneBlockKernel = void (*)(float*, const float*);

std::vector<float> run_one_block(OneBlockKernel kernel, uint64_t seed) {
  set_shuffle_seed(seed);
  DeviceArray<float> in(ascending(kThreads)), out(kThreads);
  hipLaunchKernelGGL(kernel, dim3(1), dim3(kThreads), 0, nullptr, out.data(), in.data());
  EXPECT_EQ(hipGetLastError(), hipSuccess);
  return out.download();
}

/// Counts the seeds, from 1 on, whose results are wrong. A NaN also compares unequal.
uint64_t seeds_that_notice(OneBlockKernel kernel, const std::vector<float>& expected) {
  uint64_t count = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) count += run_one_block(kernel, seed) != expected;
  return count;
}

TEST_F(Emulator, NoticesAMissingBarrierBeforeReading) {
  std::vector<float> expected = ascending(kThreads);
  std::reverse(expected.begin(), expected.end());
  EXPECT_EQ(run_one_block(reverse<true>, 0), expected);
  EXPECT_EQ(seeds_that_notice(reverse<true>, expected), 0u);
  EXPECT_NE(run_one_block(reverse<false>, 0), expected);
  EXPECT_EQ(seeds_that_notice(reverse<false>, expected), kSeeds);
}

TEST_F(Emulator, NoticesInShuffledOrderWhatAscendingOrderHides) {
  std::vector<float> expected = ascending(kThreads);
  for (float& value : expected) value -= 1.0f;
  EXPECT_EQ(run_one_block(shift<true>, 0), expected);
  EXPECT_EQ(seeds_that_notice(shift<true>, expected), 0u);
  EXPECT_EQ(run_one_block(shift<false>, 0), expected) << "ascending order hides the missing barrier";
  EXPECT_EQ(seeds_that_notice(shift<false>, expected), kSeeds);
}

TEST_F(Emulator, NoticesAMissingBarrierBeforeWriting) {
  std::vector<float> expected = ascending(kThreads);
  std::rotate(expected.begin(), expected.begin() + 10, expected.end());
  EXPECT_EQ(run_one_block(rotate<true>, 0), expected);
  EXPECT_EQ(seeds_that_notice(rotate<true>, expected), 0u);
  EXPECT_NE(run_one_block(rotate<false>, 0), expected);
  EXPECT_EQ(seeds_that_notice(rotate<false>, expected), kSeeds);
}

// ---- Order ------------------------------------------------------------------------------------------------

/// Records the order of the threads before and after a barrier.
__global__ void note_order(int* order, int* tickets) {
  order[atomicAdd(&tickets[0], 1)] = static_cast<int>(threadIdx.x);
  __syncthreads();
  order[kThreads + atomicAdd(&tickets[1], 1)] = static_cast<int>(threadIdx.x);
}

std::vector<std::vector<int>> orders(int launches) {
  std::vector<std::vector<int>> result;
  for (int i = 0; i < launches; ++i) {
    DeviceArray<int> order(2 * kThreads), tickets(std::vector<int>{0, 0});
    hipLaunchKernelGGL(note_order, dim3(1), dim3(kThreads), 0, nullptr, order.data(), tickets.data());
    const std::vector<int> both = order.download();
    result.emplace_back(both.begin(), both.begin() + kThreads);
    result.emplace_back(both.begin() + kThreads, both.end());
  }
  return result;
}

TEST_F(Emulator, OrderDependsOnTheSeedAlone) {
  std::vector<int> in_order(kThreads);
  std::iota(in_order.begin(), in_order.end(), 0);
  for (const std::vector<int>& order : orders(2)) EXPECT_EQ(order, in_order);

  set_shuffle_seed(7);
  const auto first = orders(3);
  set_shuffle_seed(7);
  EXPECT_EQ(orders(3), first);
  set_shuffle_seed(8);
  EXPECT_NE(orders(3), first);
  const std::set<std::vector<int>> different(first.begin(), first.end());
  EXPECT_EQ(different.size(), 6u) << "each interval of each launch has its own order";
  for (const std::vector<int>& order : first)
    EXPECT_TRUE(std::is_permutation(order.begin(), order.end(), in_order.begin()));
}

__global__ void count_blocks(int* counts) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  if (threadIdx.x == 0) atomicAdd(&counts[block], 1);
}

TEST_F(Emulator, RunsEveryBlockOnceInAnyOrder) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    set_shuffle_seed(seed);
    for (const dim3 grid : {dim3(1), dim3(2), dim3(97), dim3(100), dim3(1000), dim3(3, 5, 7)}) {
      const size_t blocks = size_t{grid.x} * grid.y * grid.z;
      DeviceArray<int> counts(std::vector<int>(blocks, 0));
      hipLaunchKernelGGL(count_blocks, grid, dim3(64), 0, nullptr, counts.data());
      EXPECT_EQ(counts.download(), std::vector<int>(blocks, 1));
    }
  }
}

__global__ void note_indices(int* out) {
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  out[thread] = static_cast<int>(threadIdx.x + 10 * threadIdx.y + 100 * threadIdx.z);
}

TEST_F(Emulator, ABlockHasThreeDimensions) {
  DeviceArray<int> out(4 * 3 * 2);
  hipLaunchKernelGGL(note_indices, dim3(1), dim3(4, 3, 2), 0, nullptr, out.data());
  const std::vector<int> expected{0,   1,   2,   3,   10,  11,  12,  13,  20,  21,  22,  23,
                                  100, 101, 102, 103, 110, 111, 112, 113, 120, 121, 122, 123};
  EXPECT_EQ(out.download(), expected);
}

// ---- Shared memory ----------------------------------------------------------------------------------------

template <int kOffset>
__global__ void write_beside(float* out) {
  HIPGPT_SHARED(float, neighbour, [kThreads]);
  HIPGPT_SHARED(float, tile, [kThreads]);
  neighbour[threadIdx.x] = 0.0f;
  const int index = static_cast<int>(threadIdx.x) + kOffset;
  float* const at = tile;  // a pointer hides the size, so the compiler cannot warn
  at[index] = 1.0f;
  __syncthreads();
  out[threadIdx.x] = at[index] + neighbour[threadIdx.x];
}

template <int kOffset>
void launch_write_beside() {
  DeviceArray<float> out(kThreads);
  hipLaunchKernelGGL(write_beside<kOffset>, dim3(1), dim3(kThreads), 0, nullptr, out.data());
  EXPECT_EQ(out.download(), std::vector<float>(kThreads, 1.0f));
}

TEST_F(EmulatorDeathTest, NoticesAnIndexOutsideASharedArray) {
  launch_write_beside<0>();
  const std::string message =
      kAddressSanitizer ? "use-after-poison.*kernel write_beside.*thread .*next to shared array 'tile'"
                        : "kernel write_beside.*next to shared array 'tile' of 1024 bytes";
  EXPECT_DEATH(launch_write_beside<1>(), message);
  EXPECT_DEATH(launch_write_beside<-1>(), message);
}

template <bool kAll>
__global__ void sum_of_shared(float* out) {
  HIPGPT_SHARED(float, tile, [kThreads]);
  if (kAll || threadIdx.x != 100) tile[threadIdx.x] = 1.0f;
  __syncthreads();
  float sum = 0.0f;
  for (int i = 0; i < kThreads; ++i) sum += tile[i];
  if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

TEST_F(Emulator, NoticesAnUnwrittenSharedWord) {
  constexpr int kBlocks = 40;  // many per OS thread: no block may see what an earlier one left
  DeviceArray<float> out(kBlocks);
  hipLaunchKernelGGL(sum_of_shared<true>, dim3(kBlocks), dim3(kThreads), 0, nullptr, out.data());
  EXPECT_EQ(out.download(), std::vector<float>(kBlocks, kThreads));
  hipLaunchKernelGGL(sum_of_shared<false>, dim3(kBlocks), dim3(kThreads), 0, nullptr, out.data());
  for (float sum : out.download()) EXPECT_TRUE(std::isnan(sum));
}

struct Record {
  double value;
  int tag;
};

template <typename T, int kSize>
__device__ T* shared_of_function() {
  HIPGPT_SHARED(T, values, [kSize]);
  return values;
}

__global__ void use_shared(int* ok) {
  HIPGPT_SHARED(float, tile, [16][17]);
  HIPGPT_SHARED(float4, vectors, [16]);
  HIPGPT_SHARED(Record, record, );
  const int x = static_cast<int>(threadIdx.x) % 16, y = static_cast<int>(threadIdx.x) / 16;
  static_assert(sizeof tile == 16 * 17 * 4 && sizeof vectors == 256 && sizeof record == sizeof(Record));
  tile[y][x] = static_cast<float>(threadIdx.x);
  if (y == 0) vectors[x] = make_float4(1, 2, 3, static_cast<float>(x));
  if (threadIdx.x == 0) record = {0.5, 3};
  __syncthreads();
  const auto transposed = [](int row, int column) {
    return tile[column][row];
  };  // static: nothing to capture
  bool good = transposed(y, x) == static_cast<float>(x * 16 + y) && vectors[y].w == static_cast<float>(y) &&
              record.value == 0.5 && record.tag == 3;
  for (const void* array : {static_cast<const void*>(tile), static_cast<const void*>(vectors)})
    good = good && reinterpret_cast<uintptr_t>(array) % 64 == 0;
  // Each instance of a template has one array, the same at every call.
  good = good && shared_of_function<float, 8>() == shared_of_function<float, 8>();
  good = good && shared_of_function<float, 8>() != shared_of_function<float, 9>();
  if (!good) atomicAdd(ok, -1);
}

TEST_F(Emulator, SharedArraysHaveAnyShapeAndType) {
  DeviceArray<int> ok(std::vector<int>{1});
  hipLaunchKernelGGL(use_shared, dim3(20), dim3(kThreads), 0, nullptr, ok.data());
  EXPECT_EQ(ok.download()[0], 1);
}

template <int kFloats>
__global__ void fill_shared(float* out) {
  HIPGPT_SHARED(float, half, [6 * 1024]);
  HIPGPT_SHARED(float, rest, [kFloats]);
  half[threadIdx.x] = rest[threadIdx.x] = 1.0f;
  out[threadIdx.x] = half[threadIdx.x] + rest[threadIdx.x];
}

TEST_F(EmulatorDeathTest, SharedMemoryHasALimit) {
  DeviceArray<float> out(64);
  hipLaunchKernelGGL(fill_shared<6 * 1024>, dim3(1), dim3(64), 0, nullptr, out.data());
  EXPECT_EQ(out.download(), std::vector<float>(64, 2.0f));
  EXPECT_DEATH(hipLaunchKernelGGL(fill_shared<6 * 1024 + 1>, dim3(1), dim3(64), 0, nullptr, out.data()),
               "kernel fill_shared.*need more than 49152 bytes: 49216 with 'rest'");
}

/// Each thread writes a float far into the dynamic memory and reads its neighbour's from there.
__global__ void pass_by_dynamic(float* out, int first) {
  HIPGPT_DYNAMIC_SHARED(float, memory);
  memory[first + threadIdx.x] = static_cast<float>(threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = memory[first + (threadIdx.x + 1) % kThreads];
}

TEST_F(Emulator, DynamicSharedMemoryIsAsLargeAsTheLaunchSays) {
  DeviceArray<float> out(kThreads);
  for (const size_t bytes : {size_t{1} << 10, size_t{48} << 10, size_t{100} << 10, size_t{2} << 10}) {
    const int first = static_cast<int>(bytes / sizeof(float)) - kThreads;
    launch_with_shared(pass_by_dynamic, dim3(3), dim3(kThreads), bytes, nullptr, out.data(), first);
    EXPECT_EQ(out.download()[0], 1.0f) << bytes;
    EXPECT_EQ(out.download()[kThreads - 1], 0.0f) << bytes;
  }
}

__global__ void another_by_dynamic(float* out) {
  HIPGPT_DYNAMIC_SHARED(float, memory);
  out[threadIdx.x] = memory[0];
}

TEST_F(Emulator, MoreThan48KBOfDynamicMemoryMustBeAskedFor) {
  DeviceArray<float> out(kThreads);
  hipLaunchKernelGGL(another_by_dynamic, dim3(1), dim3(kThreads), 49 << 10, nullptr, out.data());
  EXPECT_EQ(hipGetLastError(), hipErrorInvalidConfiguration);
  EXPECT_EQ(hipFuncSetAttribute(reinterpret_cast<const void*>(&another_by_dynamic),
                                hipFuncAttributeMaxDynamicSharedMemorySize, 1 << 20),
            hipErrorInvalidValue);
  EXPECT_EQ(hipGetLastError(), hipErrorInvalidValue);
}

TEST_F(EmulatorDeathTest, NoticesAnIndexBeyondTheDynamicMemory) {
  DeviceArray<float> out(kThreads);
  EXPECT_DEATH(launch_with_shared(pass_by_dynamic, dim3(1), dim3(kThreads), 1 << 10, nullptr, out.data(), 10),
               "shared array 'dynamic'");
}

// ---- Device memory ----------------------------------------------------------------------------------------

TEST_F(Emulator, NoticesUnwrittenDeviceMemory) {
  const DeviceArray<float> fresh(1000);
  for (float value : fresh.download()) EXPECT_TRUE(std::isnan(value));
  const DeviceArray<double> doubles(1000);
  for (double value : doubles.download()) EXPECT_TRUE(std::isnan(value));
  const DeviceArray<int> integers(1000);
  for (int value : integers.download()) EXPECT_EQ(value, static_cast<int>(kPoison));
}

__global__ void fill(float* out, int count, int offset) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) out[i + offset] = 1.0f;
}

TEST_F(EmulatorDeathTest, NoticesAnIndexBeyondABuffer) {
  DeviceArray<float> out(1001);
  hipLaunchKernelGGL(fill, dim3(4), dim3(kThreads), 0, nullptr, out.data(), 1001, 0);
  EXPECT_EQ(out.download(), std::vector<float>(1001, 1.0f));
  EXPECT_DEATH(hipLaunchKernelGGL(fill, dim3(4), dim3(kThreads), 0, nullptr, out.data(), 1002, 0),
               kAddressSanitizer
                   ? "heap-buffer-overflow.*kernel fill, block \\(3,0,0\\), thread \\(233,0,0\\)"
                   : "kernel fill: out-of-bounds write after a buffer of 4004 bytes");
  EXPECT_DEATH(hipLaunchKernelGGL(fill, dim3(4), dim3(kThreads), 0, nullptr, out.data(), 1001, -1),
               kAddressSanitizer ? "heap-buffer-overflow.*kernel fill, block \\(0,0,0\\), thread \\(0,0,0\\)"
                                 : "kernel fill: out-of-bounds write before a buffer of 4004 bytes");
}

TEST_F(EmulatorDeathTest, NoticesUseOfFreedMemory) {
  if (!kAddressSanitizer) GTEST_SKIP() << "only AddressSanitizer detects this";
  float* freed = nullptr;
  ASSERT_EQ(hipMalloc(&freed, 1024), hipSuccess);
  ASSERT_EQ(hipFree(freed), hipSuccess);
  EXPECT_DEATH(hipLaunchKernelGGL(fill, dim3(1), dim3(64), 0, nullptr, freed, 64, 0),
               "heap-use-after-free.*kernel fill");
}

TEST_F(Emulator, MemoryIsAlignedCountedAndLimited) {
  float* memory = nullptr;
  ASSERT_EQ(hipMalloc(&memory, 3), hipSuccess);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % 256, 0u);
  EXPECT_EQ(hipFree(memory), hipSuccess);
  EXPECT_EQ(hipFree(nullptr), hipSuccess);

  size_t available = 0, total = 0;
  ASSERT_EQ(hipMemGetInfo(&available, &total), hipSuccess);
  EXPECT_GT(available, 0u);
  EXPECT_GE(total, available);
  EXPECT_EQ(hipMalloc(&memory, total + 1), hipErrorOutOfMemory);
  EXPECT_EQ(memory, nullptr);
  EXPECT_EQ(hipMalloc(&memory, SIZE_MAX), hipErrorOutOfMemory);
  EXPECT_EQ(hipPeekAtLastError(), hipErrorOutOfMemory);
  EXPECT_EQ(hipGetLastError(), hipErrorOutOfMemory);
  EXPECT_EQ(hipGetLastError(), hipSuccess);
}

TEST_F(Emulator, CopiesAndSets) {
  DeviceArray<int> a(std::vector<int>{1, 2, 3}), b(3);
  EXPECT_EQ(hipMemcpy(b.data(), a.data(), 12, hipMemcpyDeviceToDevice), hipSuccess);
  EXPECT_EQ(hipMemset(a.data(), 0xFF, 8), hipSuccess);
  EXPECT_EQ(a.download(), (std::vector<int>{-1, -1, 3}));
  EXPECT_EQ(b.download(), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(hipMemcpy(nullptr, a.data(), 4, hipMemcpyDefault), hipErrorInvalidValue);
  EXPECT_EQ(hipGetLastError(), hipErrorInvalidValue);
}

// ---- Waves ------------------------------------------------------------------------------------------------

template <int kAssumedLanes>
__global__ void sum_of_wave(float* out, const float* in) {
  float value = in[threadIdx.x];
  for (int distance = kAssumedLanes / 2; distance > 0; distance /= 2) value += __shfl_xor(value, distance);
  out[threadIdx.x] = value;
}

TEST_F(Emulator, NoticesCodeForAnotherWaveSize) {
  std::vector<float> expected(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    const int first = i / kWaveSize * kWaveSize;
    for (int j = first; j < first + kWaveSize; ++j) expected[i] += static_cast<float>(j);
  }
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    EXPECT_EQ(run_one_block(sum_of_wave<kWaveSize>, seed), expected);
    EXPECT_EQ(run_one_block(sum_of_wave<32>, seed) == expected, kWaveSize == 32);
    // On 32 lanes the first exchange of a 64-lane sum has no partner: a lane reads its own value, which then
    // counts twice.
    EXPECT_EQ(run_one_block(sum_of_wave<64>, seed) == expected, kWaveSize == 64);
  }
}

template <typename T>
__global__ void shuffle_all_ways(T* out) {
  const int i = static_cast<int>(threadIdx.x);
  const T mine = static_cast<T>(i) - static_cast<T>(5);
  T* const results = out + i * 8;
  results[0] = __shfl(mine, 3);
  results[1] = __shfl(mine, i + 1);  // modulo the wave size
  results[2] = __shfl_xor(mine, 5);
  results[3] = __shfl_up(mine, 2);
  results[4] = __shfl_down(mine, 3);
  results[5] = __shfl(mine, 1, 8);
  results[6] = __shfl_up(mine, 1, 8);
  results[7] = __shfl_down(mine, 1, 8);
}

template <typename T>
void expect_shuffles() {
  DeviceArray<T> out(kThreads * 8);
  hipLaunchKernelGGL(shuffle_all_ways<T>, dim3(1), dim3(kThreads), 0, nullptr, out.data());
  const std::vector<T> results = out.download();
  for (int i = 0; i < kThreads; ++i) {
    const int lane = i % kWaveSize, wave = i - lane, part = i / 8 * 8;
    const int sources[8] = {wave + 3,
                            wave + (lane + 1) % kWaveSize,
                            i ^ 5,
                            lane < 2 ? i : i - 2,
                            lane + 3 < kWaveSize ? i + 3 : i,
                            part + 1,
                            i == part ? i : i - 1,
                            i == part + 7 ? i : i + 1};
    for (int k = 0; k < 8; ++k)
      EXPECT_EQ(results[i * 8 + k], static_cast<T>(sources[k]) - static_cast<T>(5))
          << "thread " << i << " way " << k;
  }
}

TEST_F(Emulator, ShufflesValuesOfFourAndEightBytes) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    set_shuffle_seed(seed);
    expect_shuffles<int>();
    expect_shuffles<unsigned>();
    expect_shuffles<float>();
    expect_shuffles<double>();
    expect_shuffles<int64_t>();
    expect_shuffles<unsigned long long>();
  }
}

__global__ void vote(unsigned long long* votes, int* any_all) {
  const int lane = static_cast<int>(threadIdx.x) % kWaveSize;
  votes[threadIdx.x] = __ballot(lane % 3 == 0);
  any_all[4 * threadIdx.x] = __any(lane == 7);
  any_all[4 * threadIdx.x + 1] = __any(lane > kWaveSize);
  any_all[4 * threadIdx.x + 2] = __all(lane < kWaveSize);
  any_all[4 * threadIdx.x + 3] = __all(lane != 7);
}

TEST_F(Emulator, Votes) {
  DeviceArray<unsigned long long> votes(kThreads);
  DeviceArray<int> any_all(4 * kThreads);
  hipLaunchKernelGGL(vote, dim3(1), dim3(kThreads), 0, nullptr, votes.data(), any_all.data());
  unsigned long long expected = 0;
  for (int lane = 0; lane < kWaveSize; lane += 3) expected |= 1ull << lane;
  EXPECT_EQ(votes.download(), std::vector<unsigned long long>(kThreads, expected));
  const std::vector<int> results = any_all.download();
  for (int i = 0; i < 4 * kThreads; ++i) EXPECT_EQ(results[i], i % 4 == 0 || i % 4 == 2);
}

/// Odd lanes leave the kernel; the others still have a wave and a barrier.
__global__ void meet_after_exit(unsigned* out, unsigned long long* votes) {
  out[threadIdx.x] = 0;
  if (threadIdx.x % 2 == 1) return;
  votes[threadIdx.x] = __ballot(1);
  out[threadIdx.x] = __shfl(threadIdx.x, static_cast<int>(threadIdx.x) + 2);
  __syncthreads();
  if (threadIdx.x == 2) out[threadIdx.x] = __shfl(threadIdx.x, 1);
}

TEST_F(Emulator, LanesThatExitedAreNotWaitedForAndGivePoison) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    set_shuffle_seed(seed);
    DeviceArray<unsigned> out(kThreads);
    DeviceArray<unsigned long long> votes(kThreads);
    // Lanes leave the kernel at different times: lane 2 is the last of its wave in the second shuffle.
    hipLaunchKernelGGL(meet_after_exit, dim3(1), dim3(kThreads), 0, nullptr, out.data(), votes.data());
    const std::vector<unsigned> results = out.download();
    for (unsigned i = 0; i < kThreads; i += 2) {
      const unsigned lane = i % kWaveSize;
      if (i == 2) continue;
      EXPECT_EQ(results[i], i - lane + (lane + 2) % kWaveSize);
      EXPECT_EQ(votes.download()[i], 0x5555555555555555ull >> (64 - kWaveSize));
    }
    EXPECT_EQ(results[2], kPoison) << "from a lane that left";
  }
}

__global__ void read_beyond_block(float* out) {
  out[threadIdx.x] = __shfl(1.0f, 30);
}

TEST_F(Emulator, LanesBeyondTheBlockGivePoison) {
  DeviceArray<float> out(kWaveSize + 20);
  hipLaunchKernelGGL(read_beyond_block, dim3(1), dim3(kWaveSize + 20), 0, nullptr, out.data());
  const std::vector<float> results = out.download();
  for (int i = 0; i < kWaveSize + 20; ++i) EXPECT_EQ(std::isnan(results[i]), i >= kWaveSize);
}

__global__ void reduce(float* out, const float* in) {
  out[threadIdx.x] = block_sum<kThreads>(in[threadIdx.x]);
  out[threadIdx.x] += reduce_block<kThreads>(in[threadIdx.x], -1.0f, Max());
}

TEST_F(Emulator, RunsTheReductionsOfTheKernels) {
  const std::vector<float> expected(kThreads, kThreads * (kThreads - 1) / 2 + kThreads - 1);
  for (uint64_t seed = 0; seed < kSeeds; ++seed) EXPECT_EQ(run_one_block(reduce, seed), expected);
}

// ---- Threads that wait forever ----------------------------------------------------------------------------

__global__ void barrier_against_shuffle(int* out, int boundary) {
  int value = 0;
  if (static_cast<int>(threadIdx.x) < boundary)
    __syncthreads();
  else
    value = __shfl_xor(1, 1);
  out[threadIdx.x] = value;
}

template <bool kSame>
__global__ void two_barriers(int* out) {
  if (kSame || threadIdx.x < 3) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = 1;
}

template <bool kSame>
__global__ void two_shuffles(int* out) {
  int value;
  if (kSame || threadIdx.x < 16) {
    value = __shfl_xor(1, 1);
  } else {
    value = __shfl_xor(2, 1);
  }
  out[threadIdx.x] = value;
}

TEST_F(EmulatorDeathTest, NamesThreadsThatWaitForever) {
  DeviceArray<int> out(128);
  hipLaunchKernelGGL(barrier_against_shuffle, dim3(1), dim3(128), 0, nullptr, out.data(), 64);
  EXPECT_EQ(out.download()[127], 1) << "whole waves may diverge";
  EXPECT_DEATH(
      hipLaunchKernelGGL(barrier_against_shuffle, dim3(1), dim3(128), 0, nullptr, out.data(), 5),
      "kernel barrier_against_shuffle, block \\(0,0,0\\): deadlock.*barrier: 5 \\(thread \\(0,0,0\\) at "
      ".*emulator_test.cpp:.*wave operation.*thread \\(5,0,0\\)");

  hipLaunchKernelGGL(two_barriers<true>, dim3(1), dim3(128), 0, nullptr, out.data());
  EXPECT_DEATH(hipLaunchKernelGGL(two_barriers<false>, dim3(1), dim3(128), 0, nullptr, out.data()),
               "kernel two_barriers.*different barriers: thread \\(0,0,0\\) at .*, thread \\(3,0,0\\) at ");

  hipLaunchKernelGGL(two_shuffles<true>, dim3(1), dim3(128), 0, nullptr, out.data());
  EXPECT_DEATH(
      hipLaunchKernelGGL(two_shuffles<false>, dim3(1), dim3(128), 0, nullptr, out.data()),
      "kernel two_shuffles.*different wave operations: thread \\(0,0,0\\) at .*, thread \\(16,0,0\\) at ");
}

// ---- Faults -----------------------------------------------------------------------------------------------

__global__ void read_at(float* out, const float* address, unsigned block, unsigned thread) {
  if (blockIdx.x == block && threadIdx.x == thread) *out = *address;
}

[[maybe_unused]] __global__ void divide(int* out, int dividend, int divisor) {
  out[threadIdx.x] = dividend / (divisor - static_cast<int>(threadIdx.x));
}

__device__ int fill_stack(int depth) {
  volatile char frame[4096];
  frame[depth % 4096] = static_cast<char>(depth);
  return depth == 0 ? 0 : fill_stack(depth - 1) + frame[depth % 4096];
}

__global__ void recurse(int* out, int depth) {
  out[threadIdx.x] = fill_stack(depth);
}

TEST_F(EmulatorDeathTest, ReportsWhichThreadFaulted) {
  DeviceArray<float> out(1);
  const auto* nowhere = reinterpret_cast<const float*>(64);
  EXPECT_DEATH(hipLaunchKernelGGL(read_at, dim3(3), dim3(64), 0, nullptr, out.data(), nowhere, 2, 17),
               "kernel read_at, block \\(2,0,0\\), thread \\(17,0,0\\)");
  if (!kAddressSanitizer) {
    EXPECT_EXIT(hipLaunchKernelGGL(read_at, dim3(3), dim3(64), 0, nullptr, out.data(), nowhere, 2, 17),
                testing::KilledBySignal(SIGSEGV), "");
  }
#ifdef __x86_64__  // on other processors x / 0 is 0
  DeviceArray<int> quotients(64);
  EXPECT_DEATH(hipLaunchKernelGGL(divide, dim3(1), dim3(64), 0, nullptr, quotients.data(), 100, 5),
               "kernel divide, block \\(0,0,0\\), thread \\(5,0,0\\)");
#endif
}

TEST_F(EmulatorDeathTest, ReportsAFullStack) {
  DeviceArray<int> out(64);
  hipLaunchKernelGGL(recurse, dim3(1), dim3(64), 0, nullptr, out.data(), 5);
  EXPECT_DEATH(
      hipLaunchKernelGGL(recurse, dim3(1), dim3(64), 0, nullptr, out.data(), 1000),
      kAddressSanitizer ? "stack-overflow.*kernel recurse" : "kernel recurse.*thread.*its stack is full");
}

// ---- Atomics ----------------------------------------------------------------------------------------------

__global__ void count(int* sum, unsigned* largest, unsigned long long* bits, int* smallest,
                      unsigned* locked) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(sum, 2);
  atomicMax(largest, i);
  atomicMin(smallest, -static_cast<int>(i));
  atomicOr(bits, 1ull << (i % 40));
  for (unsigned old = *locked, seen; (seen = atomicCAS(locked, old, old + 3)) != old;) old = seen;
}

__global__ void exchange(int* value, int* before) {
  *before = atomicExch(value, 9);
}

TEST_F(Emulator, AtomicsWorkAcrossBlocks) {
  constexpr int kBlocks = 200;
  DeviceArray<int> sum(std::vector<int>{0}), smallest(std::vector<int>{0});
  DeviceArray<unsigned> largest(std::vector<unsigned>{0}), locked(std::vector<unsigned>{0});
  DeviceArray<unsigned long long> bits(std::vector<unsigned long long>{0});
  hipLaunchKernelGGL(count, dim3(kBlocks), dim3(kThreads), 0, nullptr, sum.data(), largest.data(),
                     bits.data(), smallest.data(), locked.data());
  EXPECT_EQ(sum.download()[0], 2 * kBlocks * kThreads);
  EXPECT_EQ(largest.download()[0], kBlocks * kThreads - 1u);
  EXPECT_EQ(smallest.download()[0], -(kBlocks * kThreads - 1));
  EXPECT_EQ(bits.download()[0], (1ull << 40) - 1);
  EXPECT_EQ(locked.download()[0], 3u * kBlocks * kThreads);

  DeviceArray<int> value(std::vector<int>{4}), before(1);
  hipLaunchKernelGGL(exchange, dim3(1), dim3(1), 0, nullptr, value.data(), before.data());
  EXPECT_EQ(value.download()[0], 9);
  EXPECT_EQ(before.download()[0], 4);
}

TEST(DeviceFunctions, CountBitsAndReinterpret) {
  EXPECT_EQ(__popc(0xF0F0u), 8);
  EXPECT_EQ(__popcll(~0ull), 64);
  EXPECT_EQ(__ffs(0), 0);
  EXPECT_EQ(__ffs(8), 4);
  EXPECT_EQ(__ffsll(1ll << 40), 41);
  EXPECT_EQ(__clz(0), 32);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__clzll(1), 63);
  EXPECT_EQ(__float_as_uint(1.0f), 0x3F800000u);
  EXPECT_EQ(__uint_as_float(0x40000000u), 2.0f);
  EXPECT_EQ(__int_as_float(__float_as_int(-3.5f)), -3.5f);
  EXPECT_EQ(rsqrtf(4.0f), 0.5f);
}

// ---- Launches ---------------------------------------------------------------------------------------------

struct Arguments {
  float factor;
  int values[3];
};

template <typename A, typename B>
__global__ void take_arguments(float* out, A a, B b, Arguments arguments) {
  *out = arguments.factor * static_cast<float>(a + b + arguments.values[2]);
}

TEST_F(Emulator, ArgumentsArePassedAsToAFunction) {
  DeviceArray<float> out(1);
  int64_t large = 5;
  const Arguments arguments{0.5f, {1, 2, 3}};
  hipLaunchKernelGGL((take_arguments<int, double>), dim3(1), dim3(1), 0, nullptr, out.data(), large, 2,
                     arguments);
  EXPECT_EQ(out.download()[0], 5.0f);
  hipLaunchKernelGGL(HIP_KERNEL_NAME(take_arguments<int, double>), 1, 1, 0, nullptr, out.data(), 1, 2.0f,
                     arguments);
  EXPECT_EQ(out.download()[0], 3.0f);
}

TEST_F(Emulator, RefusesWhatAGpuRefuses) {
  DeviceArray<int> counts(std::vector<int>{0});
  const auto error_of = [&](dim3 grid, dim3 block, size_t shared_bytes) {
    hipLaunchKernelGGL(count_blocks, grid, block, shared_bytes, nullptr, counts.data());
    return hipGetLastError();
  };
  EXPECT_EQ(error_of(1, 1024, 0), hipSuccess);
  EXPECT_EQ(error_of(1, 1025, 0), hipErrorInvalidConfiguration);
  EXPECT_EQ(error_of(1, dim3(32, 33), 0), hipErrorInvalidConfiguration);
  EXPECT_EQ(error_of(1, 0, 0), hipErrorInvalidConfiguration);
  EXPECT_EQ(error_of(0, 64, 0), hipErrorInvalidConfiguration);
  EXPECT_EQ(error_of(dim3(1, 65536), 64, 0), hipErrorInvalidConfiguration);
  EXPECT_EQ(error_of(0x80000000, 64, 0), hipErrorInvalidConfiguration);
  EXPECT_EQ(error_of(1, 64, emulated::kMaxSharedBytes + 1), hipErrorInvalidConfiguration)
      << "nobody asked for more";
  EXPECT_EQ(counts.download()[0], 1);
  EXPECT_STREQ(hipGetErrorName(hipErrorInvalidConfiguration), "hipErrorInvalidConfiguration");
  EXPECT_STREQ(hipGetErrorString(hipErrorInvalidConfiguration), "invalid configuration argument");
}

TEST_F(Emulator, SeveralHostThreadsMayLaunch) {
  DeviceArray<int> counts(std::vector<int>(50, 0));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int j = 0; j < 10; ++j)
        hipLaunchKernelGGL(count_blocks, dim3(50), dim3(64), 0, nullptr, counts.data());
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counts.download(), std::vector<int>(50, 40));
}

TEST_F(Emulator, DescribesItself) {
  int devices = 0, device = -1;
  EXPECT_EQ(hipGetDeviceCount(&devices), hipSuccess);
  EXPECT_EQ(devices, 1);
  EXPECT_EQ(hipGetDevice(&device), hipSuccess);
  EXPECT_EQ(device, 0);
  hipDeviceProp_t properties;
  ASSERT_EQ(hipGetDeviceProperties(&properties, 0), hipSuccess);
  EXPECT_EQ(properties.warpSize, kWaveSize);
  EXPECT_EQ(properties.sharedMemPerBlock, 48u * 1024);
  EXPECT_EQ(hipSetDevice(1), hipErrorInvalidDevice);
  EXPECT_EQ(hipGetLastError(), hipErrorInvalidDevice);
}

// ---- Streams, events, graphs ------------------------------------------------------------------------------

__global__ void multiply_add(float* x, float factor, float summand) {
  *x = *x * factor + summand;
}

struct Stream {
  hipStream_t stream = nullptr;
  explicit Stream(unsigned flags = hipStreamNonBlocking) {
    EXPECT_EQ(hipStreamCreateWithFlags(&stream, flags), hipSuccess);
  }
  ~Stream() { EXPECT_EQ(hipStreamDestroy(stream), hipSuccess); }
  operator hipStream_t() const { return stream; }
};

struct Event {
  hipEvent_t event = nullptr;
  Event() { EXPECT_EQ(hipEventCreate(&event), hipSuccess); }
  ~Event() { EXPECT_EQ(hipEventDestroy(event), hipSuccess); }
  operator hipEvent_t() const { return event; }
};

void launch_multiply_add(hipStream_t stream, const DeviceArray<float>& x, float factor, float summand) {
  hipLaunchKernelGGL(multiply_add, dim3(1), dim3(1), 0, stream, x.data(), factor, summand);
}

TEST_F(Emulator, EventsMeasureTime) {
  const Stream stream;
  const Event start, stop;
  float milliseconds = -1.0f;
  EXPECT_EQ(hipEventElapsedTime(&milliseconds, start, stop), hipErrorInvalidHandle) << "never recorded";
  EXPECT_EQ(hipGetLastError(), hipErrorInvalidHandle);
  EXPECT_EQ(hipEventRecord(start, stream), hipSuccess);
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_EQ(hipEventRecord(stop, stream), hipSuccess);
  EXPECT_EQ(hipEventSynchronize(stop), hipSuccess);
  EXPECT_EQ(hipEventQuery(stop), hipSuccess);
  EXPECT_EQ(hipEventElapsedTime(&milliseconds, start, stop), hipSuccess);
  EXPECT_GE(milliseconds, 2.0f);
  EXPECT_EQ(hipStreamWaitEvent(stream, stop, 0), hipSuccess);
  EXPECT_EQ(hipStreamSynchronize(stream), hipSuccess);
  EXPECT_EQ(hipDeviceSynchronize(), hipSuccess);
}

TEST_F(Emulator, AGraphReplaysWithTheCurrentMemory) {
  const Stream stream;
  DeviceArray<float> x(std::vector<float>{1.0f}), y(std::vector<float>{0.0f});
  ASSERT_EQ(hipStreamBeginCapture(stream, hipStreamCaptureModeThreadLocal), hipSuccess);
  float factor = 3.0f;
  launch_multiply_add(stream, x, factor, 1.0f);
  factor = 100.0f;  // too late: arguments are copied at the call
  EXPECT_EQ(hipMemcpyAsync(y.data(), x.data(), 4, hipMemcpyDeviceToDevice, stream), hipSuccess);
  EXPECT_EQ(hipMemsetAsync(x.data(), 0, 4, stream), hipSuccess);
  hipStreamCaptureStatus status = hipStreamCaptureStatusNone;
  EXPECT_EQ(hipStreamIsCapturing(stream, &status), hipSuccess);
  EXPECT_EQ(status, hipStreamCaptureStatusActive);
  hipGraph_t graph = nullptr;
  ASSERT_EQ(hipStreamEndCapture(stream, &graph), hipSuccess);
  size_t nodes = 0;
  EXPECT_EQ(hipGraphGetNodes(graph, nullptr, &nodes), hipSuccess);
  EXPECT_EQ(nodes, 3u);
  hipGraphExec_t executable = nullptr;
  ASSERT_EQ(hipGraphInstantiate(&executable, graph, nullptr, nullptr, 0), hipSuccess);
  EXPECT_EQ(hipGraphDestroy(graph), hipSuccess);
  EXPECT_EQ(x.download()[0], 1.0f) << "a captured operation must not run";

  for (float start : {1.0f, 7.0f}) {
    x.upload({start});
    EXPECT_EQ(hipGraphLaunch(executable, stream), hipSuccess);
    EXPECT_EQ(hipStreamSynchronize(stream), hipSuccess);
    EXPECT_EQ(y.download()[0], 3.0f * start + 1.0f);
    EXPECT_EQ(x.download()[0], 0.0f);
  }
  EXPECT_EQ(hipGraphExecDestroy(executable), hipSuccess);
}

/// main: x = x + 1, then side: y = x * 2, then main again: x = x + y.
hipError_t capture_fork(bool join, hipGraph_t* graph, DeviceArray<float>& x, DeviceArray<float>& y) {
  const Stream main, side;
  const Event fork, joined;
  EXPECT_EQ(hipStreamBeginCapture(main, hipStreamCaptureModeGlobal), hipSuccess);
  launch_multiply_add(main, x, 1.0f, 1.0f);
  EXPECT_EQ(hipEventRecord(fork, main), hipSuccess);
  EXPECT_EQ(hipStreamWaitEvent(side, fork, 0), hipSuccess);
  EXPECT_EQ(hipMemcpyAsync(y.data(), x.data(), 4, hipMemcpyDeviceToDevice, side), hipSuccess);
  launch_multiply_add(side, y, 2.0f, 0.0f);
  EXPECT_EQ(hipEventRecord(joined, side), hipSuccess);
  if (join) {
    EXPECT_EQ(hipStreamWaitEvent(main, joined, 0), hipSuccess);
  }
  launch_multiply_add(main, x, 1.0f, 10.0f);
  EXPECT_EQ(hipStreamEndCapture(side, graph), hipErrorStreamCaptureUnmatched);
  return hipStreamEndCapture(main, graph);
}

TEST_F(Emulator, ACaptureForksAndJoinsByEvents) {
  DeviceArray<float> x(std::vector<float>{1.0f}), y(std::vector<float>{0.0f});
  hipGraph_t graph = nullptr;
  EXPECT_EQ(capture_fork(false, &graph, x, y), hipErrorStreamCaptureUnjoined);
  EXPECT_EQ(graph, nullptr);
  ASSERT_EQ(capture_fork(true, &graph, x, y), hipSuccess);
  hipGraphExec_t executable = nullptr;
  ASSERT_EQ(hipGraphInstantiateWithFlags(&executable, graph, 0), hipSuccess);
  EXPECT_EQ(hipGraphLaunch(executable, nullptr), hipSuccess);
  EXPECT_EQ(x.download()[0], 12.0f);
  EXPECT_EQ(y.download()[0], 4.0f);
  EXPECT_EQ(hipGraphExecDestroy(executable), hipSuccess);
  EXPECT_EQ(hipGraphDestroy(graph), hipSuccess);
  EXPECT_EQ(hipGetLastError(), hipErrorStreamCaptureUnmatched);
}

TEST_F(Emulator, ACaptureIsInvalidatedByWhatCannotBeCaptured) {
  float* memory = nullptr;
  DeviceArray<float> x(std::vector<float>{1.0f});
  const Stream stream(hipStreamDefault), other;
  const std::vector<std::function<hipError_t()>> calls{
      [&] { return hipMalloc(&memory, 4); },
      [&] { return hipFree(x.data()); },
      [&] { return hipStreamSynchronize(stream); },
      [&] { return hipDeviceSynchronize(); },
      [&] { return hipMemcpy(x.data(), x.data() + 1, 0, hipMemcpyDeviceToDevice); },
      [&] { return hipMemset(x.data(), 0, 4); },
      [&] {
        launch_multiply_add(nullptr, x, 2.0f, 0.0f);
        return hipPeekAtLastError() == hipErrorStreamCaptureImplicit ? hipErrorStreamCaptureUnsupported
                                                                     : hipSuccess;
      },
  };
  for (const auto& call : calls) {
    ASSERT_EQ(hipStreamBeginCapture(stream, hipStreamCaptureModeGlobal), hipSuccess);
    launch_multiply_add(other, x, 1.0f, 0.0f);  // on an unrelated stream
    EXPECT_EQ(hipGetLastError(), hipSuccess);
    EXPECT_EQ(call(), hipErrorStreamCaptureUnsupported);
    hipGraph_t graph = nullptr;
    EXPECT_EQ(hipStreamEndCapture(stream, &graph), hipErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
    hipGetLastError();
  }
  EXPECT_EQ(hipStreamBeginCapture(stream, hipStreamCaptureModeRelaxed), hipSuccess);
  EXPECT_EQ(hipMalloc(&memory, 4), hipSuccess);
  EXPECT_EQ(hipFree(memory), hipSuccess);
  hipGraph_t graph = nullptr;
  EXPECT_EQ(hipStreamEndCapture(stream, &graph), hipSuccess);
  EXPECT_EQ(hipGraphDestroy(graph), hipSuccess);
  EXPECT_EQ(x.download()[0], 1.0f);
}

}  // namespace
}  // namespace hipgpt::hip
