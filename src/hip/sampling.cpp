// Draws a token from its logits [V]. One block handles one row; a step of generation has a row per sequence.
//
// Nothing is sorted. Let candidates be ordered by logit, with the smaller id first among equal logits. Then
// top-k, top-p and the draw itself all ask: at which candidate does a running sum reach a target?
//   top-k     the sum counts candidates; the target is k
//   top-p     the sum adds weights e^((z - max z) / temperature); the target is p of the sum of all weights
//   the draw  the sum adds weights; the target is u of the sum of the remaining weights
// The search works like a radix sort, one digit at a time. It builds a weighted histogram of the keys'
// leading bits in shared memory, scans it, and continues with the bin that holds the answer. At most three
// passes over the logits leave one logit. Another pass finds the token among those with this logit.
//
// Weights are integers, in units of 2^-46 of the largest weight at V = 50257. Their sums are exact in any
// order, so the order of the atomics does not change the result. Weights are computed with exp in double. The
// CPU draws the same token unless a sum misses its target by less than about V 2^-46.
//
// Bytes: 4 V from memory, then 4 V per pass from the cache. It is bound by latency. Top-k takes about 10 passes,
// but if k is small, a bound on the k-th largest logit leaves few candidates. They are listed in shared memory, and
// only the first two passes read all logits. A double's exp is slow on some GPUs, so only candidates within top-k
// compute it. At temperature 0, blocks find the likeliest tokens of slices of the row, and a second kernel the first
// of them.
//
// Measured on an H200: 19 us at V=5000 and k=5, 17 us without top-k. At V=50257, the greedy choice takes 3.6 us, and
// top-k 5 adds 25 us to a token of GPT-2.
#include <algorithm>

#include "device/check.h"
#include "error.h"
#include "hip/early_start.h"
#include "hip/reduce.h"
#include "hip/vec.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

namespace {

constexpr int kThreads = 1024;
constexpr int kBinBits = 12, kBins = 1 << kBinBits;  // 32 KiB
constexpr int kBinsPerThread = kBins / kThreads;
constexpr int kListed = 1536;     // tokens; 12 KiB
constexpr int kSlice = 4096;      // logits of a block of the greedy choice, or more
constexpr int kMostSlices = 256;  // blocks of a row

using Mass = unsigned long long;

/// Sampling options in the form that the kernel takes.
struct Rules {
  int top_k;
  double top_p, inverse_temperature;
  float penalty;
  uint32_t key0, key1;
  double unit;  // weight 1 as a Mass; V times this does not overflow
};

/// Maps a float to an integer, preserving order.
__device__ uint32_t key_of(float z) {
  const uint32_t bits = __float_as_uint(z);
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}

__device__ float logit_of(uint32_t key) {
  return __uint_as_float(key >> 31 != 0 ? key & 0x7fffffffu : ~key);
}

struct Candidate {
  uint32_t key;
  int id;
};

struct Logits {
  const float* values;
  const int32_t* seen;
  int count;
  float penalty;
  const Candidate* listed = nullptr;  // in shared memory: all tokens that can be drawn, if they are few
  int listed_count = 0;

  __device__ uint32_t key(int id) const { return key_of_value(values[id], id); }

  /// The key of token `id`, whose logit is z.
  __device__ uint32_t key_of_value(float z, int id) const {
    if (penalty != 1.0f && seen[id] != 0) z = z > 0.0f ? z / penalty : z * penalty;
    return key_of(z + 0.0f);  // -0 becomes 0, since the two must have equal keys
  }
};

/// Calls f(key, id) for this thread's tokens. 16 are loaded at a time, so that their latencies overlap.
template <typename F>
__device__ void for_each_token(const Logits& logits, F f) {
  if (logits.listed != nullptr) {
    for (int i = threadIdx.x; i < logits.listed_count; i += kThreads)
      f(logits.listed[i].key, logits.listed[i].id);
    return;
  }
  // Rows of logits begin anywhere, so the first and the last four may be parts.
  constexpr int kBatch = 4;
  const int before = static_cast<int>(reinterpret_cast<uintptr_t>(logits.values) % kVecBytes / sizeof(float));
  for (int first = 4 * static_cast<int>(threadIdx.x) - before; first < logits.count;
       first += 4 * kBatch * kThreads) {
    vec4 values[kBatch];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int id = first + 4 * b * kThreads;
      const bool whole = id >= 0 && id + 4 <= logits.count;
      values[b] =
          whole ? load_whole(logits.values + id) : load_part(logits.values + id, -id, logits.count - id);
    }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int id = first + 4 * b * kThreads + e;
        if (id >= 0 && id < logits.count) f(logits.key_of_value(values[b][e], id), id);
      }
    }
  }
}

struct Min {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a < b ? a : b;
  }
};

struct Survey {
  bool broken;       // a logit is not finite
  Candidate first;   // the likeliest
  uint32_t kth_low;  // not above the top_k-th largest key
};

constexpr Mass kBroken = ~Mass{0};  // larger than all candidates

__device__ Candidate candidate_of(Mass mass) {
  return {static_cast<uint32_t>(mass >> 32), static_cast<int>(~static_cast<uint32_t>(mass))};
}

/// The likeliest of this thread's tokens as a number that orders candidates, or kBroken if a logit is not finite. The
/// logits are those of tokens first_id and on.
__device__ Mass best_of(const Logits& logits, int first_id) {
  // A thread's ids increase, so the first of equal logits stays. 0 times a logit is NaN if it is not finite.
  uint32_t best_key = 0;
  int best_id = 0;
  float broken = 0.0f;
  for_each_token(logits, [&](uint32_t key, int id) {
    broken = fmaf(logit_of(key), 0.0f, broken);
    if (key <= best_key) return;
    best_key = key;
    best_id = id;
  });
  if (!(broken == 0.0f)) return kBroken;
  return best_key == 0 ? 0 : Mass{best_key} << 32 | ~static_cast<uint32_t>(first_id + best_id);
}

__device__ Survey survey(const Logits& logits, int top_k) {
  Mass best = best_of(logits, 0);
  // The largest keys of k threads, or k groups of them, belong to k different tokens. So the smallest of them is
  // not above the k-th largest key. With this bound, the first histogram skips most of the tokens.
  uint32_t low = 0;
  const auto own = static_cast<uint32_t>(best >> 32);
  if (top_k <= kThreads / 64) {
    low = reduce_lanes<kWaveSize>(own, Max());
  } else if (top_k <= kThreads / 8) {
    low = reduce_lanes<8>(own, Max());
  } else if (top_k <= kThreads) {
    low = own;
  }
  low = reduce_block<kThreads>(low, ~0u, Min());
  best = reduce_block<kThreads>(best, Mass{0}, Max());
  return {best == kBroken, candidate_of(best), low};
}

/// Sums in shared memory. Each half is added separately, because some GPUs implement a 64-bit atomic addition
/// as a loop.
struct Bins {
  unsigned *low, *high;  // [kBins]

  __device__ void clear() const {
#pragma unroll
    for (int i = 0; i < kBinsPerThread; ++i) {
      const int b = i * kThreads + threadIdx.x;
      low[b] = high[b] = 0;
    }
  }
  __device__ Mass operator[](int b) const {
    return Mass{high[b]} << 32 | low[b];
  }
  __device__ void add(int b, Mass mass) const {
    const auto part = static_cast<unsigned>(mass);
    const unsigned carry = atomicAdd(&low[b], part) > ~part ? 1 : 0;
    const unsigned upper = static_cast<unsigned>(mass >> 32) + carry;
    if (upper != 0) atomicAdd(&high[b], upper);
  }
};

struct Place {
  int bin;
  Mass rest;  // the target minus the sum of the earlier bins
};

/// Finds the bin at which the running sum of the bins reaches target(their sum), which is at least 1.
template <typename Target>
__device__ Place find_bin(const Bins& bins, Target target) {
  constexpr int kWaves = kThreads / kWaveSize;
  HIPGPT_SHARED(Mass, wave_sum, [kWaves]);
  HIPGPT_SHARED(Place, place, [1]);
  const int lane = threadIdx.x % kWaveSize, wave = threadIdx.x / kWaveSize;
  const int own = threadIdx.x * kBinsPerThread;
  Mass sum = 0;
#pragma unroll
  for (int b = 0; b < kBinsPerThread; ++b) sum += bins[own + b];
  Mass running = sum;
#pragma unroll
  for (int distance = 1; distance < kWaveSize; distance *= 2) {
    const Mass other = __shfl_up(running, distance);
    if (lane >= distance) running += other;
  }
  if (lane == kWaveSize - 1) wave_sum[wave] = running;
  if (threadIdx.x == 0) place[0] = {0, 1};  // in case all bins are empty
  __syncthreads();

  Mass before = running - sum, total = 0;
#pragma unroll
  for (int w = 0; w < kWaves; ++w) {
    if (w < wave) before += wave_sum[w];
    total += wave_sum[w];
  }
  const Mass wanted = target(total);
  if (before < wanted && wanted <= before + sum) {
    int b = own;
    while (before + bins[b] < wanted) before += bins[b++];
    place[0] = {b, wanted - before};
  }
  __syncthreads();
  return place[0];
}

/// Copies the tokens with keys from `low` on to shared memory, where all later passes read them, unless they are too
/// many.
__device__ void list_tokens(Logits& logits, uint32_t low) {
  HIPGPT_SHARED(Candidate, listed, [kListed]);
  HIPGPT_SHARED(int, listed_count, [1]);
  if (threadIdx.x == 0) listed_count[0] = 0;
  __syncthreads();
  for_each_token(logits, [&](uint32_t key, int id) {
    if (key < low) return;
    const int place = atomicAdd(&listed_count[0], 1);
    if (place < kListed) listed[place] = {key, id};
  });
  __syncthreads();
  if (listed_count[0] > kListed) return;
  logits.listed = listed;
  logits.listed_count = listed_count[0];
}

/// The n-th smallest id of the listed tokens with this key, counted from 1. The list has no order.
__device__ int nth_listed_token(const Logits& logits, uint32_t key, Mass n) {
  HIPGPT_SHARED(int, found_in_list, [1]);
  if (threadIdx.x == 0) found_in_list[0] = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < logits.listed_count; i += kThreads) {
    const Candidate own = logits.listed[i];
    if (own.key != key) continue;
    Mass rank = 1;
    for (int other = 0; other < logits.listed_count; ++other)
      rank += logits.listed[other].key == key && logits.listed[other].id < own.id ? 1 : 0;
    if (rank == n) found_in_list[0] = own.id;
  }
  __syncthreads();
  return found_in_list[0];
}

/// The n-th smallest id of the tokens with this key, counted from 1.
__device__ int nth_token(const Logits& logits, uint32_t key, Mass n) {
  constexpr int kWaves = kThreads / kWaveSize;
  HIPGPT_SHARED(int, wave_count, [kWaves]);
  HIPGPT_SHARED(int, found, [1]);
  if (logits.listed != nullptr) return nth_listed_token(logits, key, n);
  const int lane = threadIdx.x % kWaveSize, wave = threadIdx.x / kWaveSize;
  // Every wave counts the matches in its own range of ids. The counts show which wave has the n-th match;
  // that wave then finds its id.
  const int stretch = (logits.count + kWaves - 1) / kWaves;
  const int begin = wave * stretch, end = begin + stretch < logits.count ? begin + stretch : logits.count;
  int count = 0;
#pragma unroll 8
  for (int id = begin + lane; id < end; id += kWaveSize) count += logits.key(id) == key;
  count = reduce_lanes<kWaveSize>(count, Add());
  if (lane == 0) wave_count[wave] = count;
  if (threadIdx.x == 0) found[0] = 0;
  __syncthreads();

  Mass before = 0;
  for (int w = 0; w < wave; ++w) before += wave_count[w];
  if (before < n && n <= before + count) {
    for (int first = begin; before < n; first += kWaveSize) {
      const int id = first + lane;
      const bool equal = id < end && logits.key(id) == key;
      const unsigned long long votes = __ballot(equal);
      const Mass rank = before + __popcll(votes & ((1ull << lane) - 1)) + 1;
      if (equal && rank == n) found[0] = id;
      before += __popcll(votes);
    }
  }
  __syncthreads();
  return found[0];
}

/// Finds the first token, from the likeliest to `last`, at which the running sum of measure(key) reaches
/// target(sum of all). `low` may be any key that is not above the key of the result.
template <typename Measure, typename Target>
__device__ Candidate find(const Bins& bins, const Logits& logits, uint32_t high, uint32_t low, Candidate last,
                          Measure measure, Target target) {
  Mass rest = 0;
  for (bool first = true, done = false; !done; first = false) {
    const int bits = 32 - __clz(static_cast<int>(high - low));
    const int shift = bits > kBinBits ? bits - kBinBits : 0;
    bins.clear();
    __syncthreads();
    for_each_token(logits, [&](uint32_t key, int id) {
      if (key < low || key > high || (key == last.key && id > last.id)) return;
      const Mass m = measure(key);
      if (m > 0) bins.add((high - key) >> shift, m);
    });
    __syncthreads();
    const Place place = find_bin(bins, [&](Mass total) { return first ? target(total) : rest; });
    rest = place.rest;
    high -= static_cast<uint32_t>(place.bin) << shift;
    const uint32_t others = (1u << shift) - 1;  // keys in the bin besides the highest
    low = high - low > others ? high - others : low;
    done = shift == 0;
  }
  // Equal logits have equal weights.
  const Mass each = measure(high);
  return {high, nth_token(logits, high, each == 0 ? 1 : (rest + each - 1) / each)};
}

/// Draw `n` of a stream: a number in [0, 1) with the 53 bits of a double.
__device__ double uniform_draw(const Rules& rules, int32_t stream, int32_t n) {
  uint32_t x[4] = {static_cast<uint32_t>(n), static_cast<uint32_t>(stream), 0,
                   static_cast<uint32_t>(RandomUse::kSampling)};
  philox4x32_10(x, rules.key0, rules.key1);
  return static_cast<double>(join_bits(x[0], x[1]) >> 11) * 0x1p-53;
}

__device__ int draw_token(Logits logits, const Rules& rules, const Survey& survey, int32_t stream,
                          int32_t n) {
  HIPGPT_SHARED(unsigned, halves, [2][kBins]);
  const Bins bins = {halves[0], halves[1]};
  const uint32_t high = survey.first.key;
  Candidate last = {0, logits.count};
  if (rules.top_k > 0 && rules.top_k < logits.count) {
    if (rules.top_k <= kThreads / 8) list_tokens(logits, survey.kth_low);
    last = find(
        bins, logits, high, survey.kth_low, last, [](uint32_t) { return Mass{1}; },
        [&](Mass) { return static_cast<Mass>(rules.top_k); });
  }
  const double top = logit_of(high);
  const auto weight = [&](uint32_t key) {
    const double x = (logit_of(key) - top) * rules.inverse_temperature;
    return x > -44.0 ? static_cast<Mass>(exp(x) * rules.unit) : Mass{0};  // e^-44 < 2^-63
  };
  if (rules.top_p < 1.0) {
    last = find(bins, logits, high, last.key, last, weight, [&](Mass total) {
      const double wanted = ceil(rules.top_p * static_cast<double>(total));
      return wanted < 1.0 ? Mass{1} : static_cast<Mass>(wanted);
    });
  }
  const double u = uniform_draw(rules, stream, n);
  const auto passes = [&](Mass total) { return static_cast<Mass>(u * static_cast<double>(total)) + 1; };
  return find(bins, logits, high, last.key, last, weight, passes).id;
}

/// Stores the token of the block's row, or -1.
__device__ void store_token(int32_t* token, int32_t* seen, int32_t* draw, int count, int id) {
  token[blockIdx.x] = id;
  if (id < 0) return;
  seen[static_cast<int64_t>(blockIdx.x) * count + id] = 1;
  ++draw[2 * blockIdx.x + 1];
}

/// The likeliest token of a slice of a row, as in survey(), for the greedy choice. One compute unit would take longer
/// to read all logits than many together take for both kernels.
__global__ void __launch_bounds__(kThreads)
    best_kernel(Mass* best, const float* values, const int32_t* seen, int count, int slice, float penalty) {
  wait_for_earlier_kernels();
  let_next_kernel_start();
  const int64_t row = static_cast<int64_t>(blockIdx.y) * count;
  const int begin = static_cast<int>(blockIdx.x) * slice, size = min(slice, count - begin);
  const Mass own = best_of(Logits{values + row + begin, seen + row + begin, size, penalty}, begin);
  const Mass all = reduce_block<kThreads>(own, Mass{0}, Max());
  if (threadIdx.x == 0) best[blockIdx.y * gridDim.x + blockIdx.x] = all;
}

/// Stores the best token of `slices` slices of each row.
__global__ void __launch_bounds__(kMostSlices)
    choose_kernel(int32_t* token, const Mass* best, int32_t* seen, int32_t* draw, int count, int slices) {
  wait_for_earlier_kernels();
  const int i = threadIdx.x;
  const Mass all =
      reduce_block<kMostSlices>(i < slices ? best[blockIdx.x * slices + i] : Mass{0}, Mass{0}, Max());
  if (i == 0) store_token(token, seen, draw, count, all == kBroken ? -1 : candidate_of(all).id);
}

__global__ void __launch_bounds__(kThreads)
    sample_kernel(int32_t* token, const float* values, int32_t* seen, int32_t* draw, int count, Rules rules) {
  wait_for_earlier_kernels();
  const int64_t row = static_cast<int64_t>(blockIdx.x) * count;
  const Logits logits = {values + row, seen + row, count, rules.penalty};
  const int32_t stream = draw[2 * blockIdx.x], n = draw[2 * blockIdx.x + 1];
  const Survey all = survey(logits, rules.top_k);
  const int id = all.broken ? -1 : draw_token(logits, rules, all, stream, n);
  if (threadIdx.x == 0) store_token(token, seen, draw, count, id);
}

__global__ void __launch_bounds__(256) increment_kernel(int32_t* counters, int count) {
  wait_for_earlier_kernels();
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i < count) ++counters[i];
}

Rules make_rules(const Sampling& options, int vocab) {
  int bits = 0;  // V <= 2^bits
  while (int64_t{1} << bits < vocab) ++bits;
  Rules rules;
  rules.top_k = options.top_k;
  rules.top_p = options.top_p;
  rules.inverse_temperature = 1.0 / options.temperature;
  rules.penalty = static_cast<float>(options.repetition_penalty);
  rules.key0 = static_cast<uint32_t>(options.seed);
  rules.key1 = static_cast<uint32_t>(options.seed >> 32);
  rules.unit = static_cast<double>(int64_t{1} << (62 - bits));
  return rules;
}

}  // namespace

void sample(const Stream& stream, Tensor token, Tensor logits, Tensor seen, Tensor draw,
            const Sampling& options) {
  check::sample(token, logits, seen, draw, options);
  const int batch = static_cast<int>(logits.dim(0)), vocab = static_cast<int>(logits.dim(1));
  if (options.temperature == 0.0) {
    const int slice = std::max(kSlice, ceil_div(vocab, kMostSlices)), slices = ceil_div(vocab, slice);
    auto* const best = reinterpret_cast<Mass*>(stream.scratch);
    if (static_cast<int64_t>(batch) * slices * 2 > stream.scratch_floats)
      throw Error("sample: too little scratch memory for so many rows");
    launch_early(stream, best_kernel, dim3(slices, batch), dim3(kThreads), best, logits.f32(), seen.i32(),
                 vocab, slice, static_cast<float>(options.repetition_penalty));
    return launch_early(stream, choose_kernel, dim3(batch), dim3(kMostSlices), token.i32(), best, seen.i32(),
                        draw.i32(), vocab, slices);
  }
  launch_early(stream, sample_kernel, dim3(batch), dim3(kThreads), token.i32(), logits.f32(), seen.i32(),
               draw.i32(), vocab, make_rules(options, vocab));
}

void increment(const Stream& stream, Tensor counters) {
  check::increment(counters);
  const int count = static_cast<int>(counters.size());
  launch_early(stream, increment_kernel, dim3(ceil_div(count, 256)), dim3(256), counters.i32(), count);
}

}  // namespace hipgpt::hip
