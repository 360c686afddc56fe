#include "generation/perplexity.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "error.h"
#include "generation/sliding_windows.h"
#include "util/number_text.h"
#include "util/parameter.h"

namespace hipgpt {

double Perplexity::loss() const {
  return nats / static_cast<double>(scored);
}

double Perplexity::perplexity() const {
  return std::exp(loss());
}

double Perplexity::bits_per_byte() const {
  return nats / (std::numbers::ln2 * static_cast<double>(scored_bytes));
}

int64_t default_stride(const GPTModel& model) {
  return SlidingWindows::window(model) / 2;
}

Perplexity measure_perplexity(const GPTModel& model, const Tokenizer& tokenizer, std::string_view text,
                              const std::string& name, int64_t stride, int threads,
                              const std::function<void(const Perplexity&)>& on_scored, Team* team) {
  const int64_t window = SlidingWindows::window(model);
  if (stride > window) {
    throw Error(fmt::format("{} {}: the model's window has {}; give 1 to {}", Parameter::kStride, stride,
                            counted(window, "token"), window));
  }
  Perplexity result;
  SlidingWindows windows(model, stride > 0 ? stride : default_stride(model), [&](int32_t token, float loss) {
    ++result.scored;
    result.scored_bytes += static_cast<int64_t>(tokenizer.token_bytes(token).size());
    result.nats += loss;
    on_scored(result);
  });
  if (team != nullptr) windows.share(team->rank(), team->size());
  tokenizer.encode(text, threads, [&](std::span<const int32_t> ids) {
    result.tokens += static_cast<int64_t>(ids.size());
    windows.push(ids);
  });
  windows.finish();
  if (team != nullptr) {
    double sums[] = {static_cast<double>(result.scored), static_cast<double>(result.scored_bytes),
                     result.nats};
    team->sum(sums);
    result.scored = static_cast<int64_t>(sums[0]);
    result.scored_bytes = static_cast<int64_t>(sums[1]);
    result.nats = sums[2];
  }
  if (result.scored == 0) {
    throw Error(fmt::format("{}: has {}; perplexity needs two or more, since the first has no context", name,
                            counted(result.tokens, "token")));
  }
  if (!std::isfinite(result.nats))
    throw Error("the model's losses are not finite: the model is broken, use another one");
  return result;
}

}  // namespace hipgpt
