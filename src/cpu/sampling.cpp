// Draws a token from its logits: reads the logits once, selects the likeliest tokens and sorts them.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/cpu_device.h"
#include "device/check.h"
#include "philox.h"

namespace hipgpt::cpu {

namespace {

struct Candidate {
  float logit;
  int32_t id;
};

bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

/// Collects every token with its logit, lowered if the token was seen before. Returns false if a logit is not
/// finite.
bool collect_candidates(std::vector<Candidate>& candidates, const float* logits, const int32_t* seen,
                        float penalty) {
  for (size_t i = 0; i < candidates.size(); ++i) {
    float logit = logits[i];
    if (!std::isfinite(logit)) return false;
    if (penalty != 1.0f && seen[i] != 0) logit = logit > 0.0f ? logit / penalty : logit * penalty;
    candidates[i] = {logit, static_cast<int32_t>(i)};
  }
  return true;
}

/// Keeps the `top_k` likeliest candidates (0: all), likeliest first.
void sort_likeliest(std::vector<Candidate>& candidates, int top_k) {
  const auto k = static_cast<size_t>(top_k);
  if (k > 0 && k < candidates.size()) {
    std::nth_element(candidates.begin(), candidates.begin() + top_k, candidates.end(), likelier);
    candidates.resize(k);
  }
  std::sort(candidates.begin(), candidates.end(), likelier);
}

/// Draw `n` of a seed's stream: a double in [0, 1) with all 53 bits.
double uniform_draw(uint64_t seed, int32_t stream, int32_t n) {
  const auto bits = philox4x32({static_cast<uint32_t>(n), static_cast<uint32_t>(stream), 0,
                                static_cast<uint32_t>(RandomUse::kSampling)},
                               philox_key(seed));
  return static_cast<double>(join_bits(bits[0], bits[1]) >> 11) * 0x1p-53;
}

/// Picks from sorted candidates. Applies softmax with temperature and keeps the shortest prefix whose
/// probability reaches top_p. Returns the candidate at which the running sum of probabilities passes the
/// fraction `uniform` of the prefix's sum.
int32_t pick(const std::vector<Candidate>& candidates, double temperature, double top_p, double uniform) {
  thread_local std::vector<double> weights;
  weights.resize(candidates.size());
  double total = 0.0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    weights[i] = std::exp((static_cast<double>(candidates[i].logit) - candidates[0].logit) / temperature);
    total += weights[i];
  }
  double kept = 0.0;
  size_t count = 0;
  while (count < weights.size() && (count == 0 || kept < top_p * total)) kept += weights[count++];

  double remaining = uniform * kept;
  for (size_t i = 0; i < count; ++i) {
    remaining -= weights[i];
    if (remaining < 0.0) return candidates[i].id;
  }
  return candidates[count - 1].id;
}

}  // namespace

void sample(ThreadPool& threads, Tensor token, Tensor logits, Tensor seen, Tensor draw,
            const Sampling& options) {
  check::sample(token, logits, seen, draw, options);
  const int64_t batch = logits.dim(0), vocab = logits.dim(1);
  threads.run(batch, [&](int64_t b) {
    thread_local std::vector<Candidate> candidates;
    candidates.resize(static_cast<size_t>(vocab));
    int32_t &chosen = token.i32()[b], *marks = seen.i32() + b * vocab;
    const int32_t stream = draw.i32()[2 * b];
    int32_t& number = draw.i32()[2 * b + 1];
    chosen = -1;
    const auto penalty = static_cast<float>(options.repetition_penalty);
    if (!collect_candidates(candidates, logits.f32() + b * vocab, marks, penalty)) return;
    if (options.temperature == 0.0) {
      chosen = std::min_element(candidates.begin(), candidates.end(), likelier)->id;
    } else {
      sort_likeliest(candidates, options.top_k);
      const double uniform = uniform_draw(options.seed, stream, number);
      chosen = pick(candidates, options.temperature, options.top_p, uniform);
    }
    marks[chosen] = 1;
    ++number;
  });
}

void increment(ThreadPool&, Tensor counters) {
  check::increment(counters);
  for (int64_t i = 0; i < counters.size(); ++i) ++counters.i32()[i];
}

}  // namespace hipgpt::cpu
