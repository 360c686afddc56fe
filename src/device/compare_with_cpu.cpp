#include "device/compare_with_cpu.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <random>

#include "cpu/cpu_device.h"
#include "device/measured_speed.h"
#include "device/timing_device.h"
#include "util/bf16.h"
#include "util/largest_error.h"

namespace hipgpt {

namespace {

/// A tensor of a case: its contents before the operation, and whether they are compared afterwards.
struct Operand {
  enum Content { kRandom, kPositive, kZero, kIds, kNumber };

  std::vector<int64_t> shape;
  Content content = kRandom;
  bool compared = false;
  int64_t number = 0;  // kIds: ids are from 0 to number - 1; kNumber: the value
  DType dtype = DType::kF32;

  bool is_int() const { return content == kIds || content == kNumber; }
  int64_t size() const {
    int64_t n = 1;
    for (const int64_t d : shape) n *= d;
    return n;
  }
};

/// An operation with its input. `prepare` runs once before it, to compute operands that an earlier operation
/// provides. `matrices` are the operands that are bf16 in the operation's other version, if there is one.
struct Case {
  using Run = std::function<void(Device&, const std::vector<Tensor>&)>;

  std::string name;
  double tolerance;
  std::vector<Operand> operands;
  std::vector<size_t> matrices;
  Run run, prepare = {};
};

Tensor shaped(void* memory, const Operand& o) {
  const auto& s = o.shape;
  const DType dtype = o.is_int() ? DType::kI32 : o.dtype;
  if (s.size() == 1) return {memory, {s[0]}, dtype};
  if (s.size() == 2) return {memory, {s[0], s[1]}, dtype};
  return {memory, {s[0], s[1], s[2]}, dtype};
}

/// The operands of a case in the memory of one device.
class Operands {
 public:
  Operands(Device& device, const Case& c) : device_(device), case_(c) {
    std::mt19937 generator(1);
    for (const Operand& o : c.operands) {
      memory_.emplace_back(device, static_cast<size_t>(o.size()) * 4);
      tensors_.push_back(shaped(memory_.back().data(), o));
      if (o.is_int()) {
        std::vector<int32_t> values(static_cast<size_t>(o.size()), static_cast<int32_t>(o.number));
        if (o.content == Operand::kIds) {
          for (int32_t& v : values) v = static_cast<int32_t>(generator() % static_cast<uint64_t>(o.number));
        }
        device.copy_to_device(tensors_.back(), values.data());
        continue;
      }
      std::vector<float> values(static_cast<size_t>(o.size()), 0.0f);
      if (o.content != Operand::kZero) {
        for (float& v : values) v = static_cast<float>(generator()) * 0x1p-31f - 1.0f;
      }
      if (o.content == Operand::kPositive) {
        for (float& v : values) v = std::abs(v);
      }
      upload(values);
    }
    if (c.prepare) c.prepare(device, tensors_);
  }

  void run() const { case_.run(device_, tensors_); }

  /// The values of an operand.
  std::vector<double> values(size_t i) const {
    const auto size = static_cast<size_t>(tensors_[i].size());
    if (case_.operands[i].is_int()) {
      std::vector<int32_t> host(size);
      device_.copy_to_host(host.data(), tensors_[i]);
      return {host.begin(), host.end()};
    }
    if (case_.operands[i].dtype == DType::kBF16) {
      std::vector<uint16_t> host(size);
      device_.copy_to_host(host.data(), tensors_[i]);
      std::vector<double> result(size);
      std::transform(host.begin(), host.end(), result.begin(), from_bf16);
      return result;
    }
    std::vector<float> host(size);
    device_.copy_to_host(host.data(), tensors_[i]);
    return {host.begin(), host.end()};
  }

 private:
  /// Copies values to the newest tensor.
  void upload(const std::vector<float>& values) {
    if (tensors_.back().dtype() == DType::kF32) return device_.copy_to_device(tensors_.back(), values.data());
    std::vector<uint16_t> rounded(values.size());
    std::transform(values.begin(), values.end(), rounded.begin(), to_bf16);
    device_.copy_to_device(tensors_.back(), rounded.data());
  }

  Device& device_;
  const Case& case_;
  std::deque<Buffer> memory_;
  std::vector<Tensor> tensors_;
};

double number(int64_t n) {
  return static_cast<double>(n);
}

/// One case per operation, in fp32.
std::vector<Case> fp32_cases(const ComparisonSizes& s) {
  const int64_t B = s.B, T = s.T, E = s.E, F = s.F, V = s.V, S = s.S, R = B * T, H = s.H;
  const auto heads = static_cast<int>(H);
  const int64_t N = s.N;  // rows of operations that memory bounds: more than the caches hold
  // The rounding errors of a sum grow with the square root of its length.
  const double of_sums = 1e-6 * std::sqrt(number(std::max({E, F, R})));
  const auto dropout = [](Tensor micro_step) {
    return Dropout{.p = 0.1f, .seed = 5, .micro_step = micro_step};
  };
  const auto stats = [](Device& d, const std::vector<Tensor>& t) {
    d.layernorm(t[0], {t[6], t[7]}, t[4], {t[5], t[1]});  // sets mean and rstd of x; the rest is overwritten
    d.set_zero(t[0]);
    d.set_zero(t[1]);
  };
  const auto id = Operand::kIds, step = Operand::kNumber, zero = Operand::kZero;
  return {
      {"linear",
       4.0 * of_sums,  // act'(z) is about 1, with the error of a z of up to 40
       {{{R, F}, zero, true}, {{R, E}}, {{E, F}}, {{F}}, {{R, F}, zero, true}},
       {0, 1, 2, 4},
       [](Device& d, const auto& t) {
         d.linear(t[0], t[1], {t[2], t[3]}, Activation::kGelu, t[4]);
       }},
      {"fused_linear",
       of_sums,
       {{{B, F}, zero, true}, {{B, F}}, {{B, E}}, {{F, E}}, {{F}}},
       {0, 1, 2, 3},
       [](Device& d, const auto& t) {
         d.fused_linear(t[0], t[1], t[2], true, {t[3], t[4], Layout::kOutIn}, Activation::kGelu);
       }},
      {"linear_backward",
       of_sums,
       {{{R, E}, zero, true},
        {{E, F}, zero, true},
        {{F}, zero, true},
        {{R, F}},
        {{R, E}},
        {{E, F}},
        {{R, E}},
        {{E}, zero, true}},
       {0, 3, 4, 5, 6},
       [](Device& d, const auto& t) {
         d.linear_backward(t[0], {t[1], t[2]}, t[3], t[4], {t[5], {}}, t[6], t[7]);
       }},
      {"embedding",
       1e-6,
       {{{N, E}, zero, true}, {{N / T, T}, id, false, V}, {{V, E}}, {{S, E}}},
       {0, 2, 3},
       [](Device& d, const auto& t) { d.embedding(t[0], t[1], t[2], t[3], {}); }},
      {"embedding_backward",
       2e-6,
       {{{V, E}, zero, true}, {{S, E}, zero, true}, {{N, E}}, {{N / T, T}, id, false, V}},
       {2},
       [](Device& d, const auto& t) { d.embedding_backward(t[0], t[1], t[2], t[3]); }},
      {"layernorm",
       2e-5,
       {{{N, E}, zero, true}, {{N}, zero}, {{N}, zero, true}, {{N, E}}, {{E}}, {{E}}},
       {0, 3},
       [](Device& d, const auto& t) {
         d.layernorm(t[0], {t[1], t[2]}, t[3], {t[4], t[5]});
       }},
      {"residual_layernorm",
       2e-5,
       {{{N, E}, zero, true},
        {{N, E}, zero, true},
        {{N}, zero},
        {{N}, zero, true},
        {{N, E}},
        {{N, E}},
        {{E}},
        {{E}},
        {{1}, step, false, 3}},
       {0, 1, 4, 5},
       [=](Device& d, const auto& t) {
         d.residual_layernorm(t[0], t[1], {t[2], t[3]}, t[4], t[5], dropout(t[8]), {t[6], t[7]});
       }},
      {"layernorm_backward",
       2e-5,
       {{{N, E}, zero, true},
        {{E}, zero, true},
        {{E}, zero, true},
        {{N, E}},
        {{N, E}},
        {{E}},
        {{N}, zero},
        {{N}, zero},
        {{E}, zero, true}},
       {0, 3, 4},
       [](Device& d, const auto& t) {
         d.layernorm_backward(t[0], {t[1], t[2]}, t[3], t[4], {t[5], {}}, {t[6], t[7]}, t[8]);
       },
       stats},
      {"attention",
       5e-6,
       {{{B, T, E}, zero, true}, {{B, H, T}, zero, true}, {{B, T, 3 * E}}, {{1}, step, false, 3}},
       {0, 2},
       [=](Device& d, const auto& t) { d.attention(t[0], t[1], t[2], heads, dropout(t[3])); }},
      {"attention_backward",
       2e-5,
       {{{B, T, 3 * E}, zero, true},
        {{B, T, E}},
        {{B, T, 3 * E}},
        {{B, T, E}, zero},
        {{B, H, T}, zero},
        {{1}, step, false, 3},
        {{3 * E}, zero, true}},
       {0, 1, 2, 3},
       [=](Device& d, const auto& t) {
         d.attention_backward(t[0], t[1], t[2], t[3], t[4], heads, dropout(t[5]), t[6]);
       },
       [=](Device& d, const auto& t) { d.attention(t[3], t[4], t[2], heads, dropout(t[5])); }},
      {"attention_cached",
       5e-6,
       {{{B, 1, E}, zero, true}, {{B, S, E}}, {{B, S, E}}, {{B, 1, 3 * E}}, {{1}, step, false, S - 1}},
       {0, 1, 2, 3},
       [=](Device& d, const auto& t) { d.attention_cached(t[0], t[1], t[2], t[3], heads, t[4]); }},
      {"add_dropout",
       1e-6,
       {{{N, E}, zero, true}, {{N, E}}, {{N, E}}, {{1}, step, false, 3}},
       {0, 1, 2},
       [=](Device& d, const auto& t) { d.add_dropout(t[0], t[1], t[2], dropout(t[3])); }},
      {"cross_entropy",
       2e-6,
       {{{T}, zero, true}, {{T, V}}, {{T}, id, false, V}},
       {1},
       [](Device& d, const auto& t) { d.cross_entropy(t[0], t[1], t[2]); }},
      {"cross_entropy_with_gradient",
       1e-5,
       {{{T}, zero, true}, {{T, V}, Operand::kRandom, true}, {{T}, id, false, V}},
       {1},
       [](Device& d, const auto& t) { d.cross_entropy_with_gradient(t[0], t[1], t[2], 1.0f); }},
      {"round_to_bf16",
       0,
       {{.shape = {N * E}, .content = zero, .compared = true, .dtype = DType::kBF16}, {{N * E}}},
       {},
       [](Device& d, const auto& t) { d.round_to_bf16(t[0], t[1]); }},
      {"sum",
       2e-6,
       {{{1}, zero, true}, {{N, E}, Operand::kPositive}},
       {},
       [](Device& d, const auto& t) { d.sum(t[0], t[1]); }},
      {"l2_norm",
       2e-6,
       {{{1}, zero, true}, {{N, E}}},
       {},
       [](Device& d, const auto& t) { d.l2_norm(t[0], t[1]); }},
      {"adamw",
       1e-5,
       {{{N * E}, Operand::kRandom, true},
        {{N * E}},
        {{N * E}, zero, true},
        {{N * E}, zero, true},
        {{1}, Operand::kPositive},
        {{3}, Operand::kPositive}},
       {},
       [](Device& d, const auto& t) {
         d.adamw(t[0], {}, t[1], t[2], t[3], t[4], t[5],
                 {.weight_decay = 0.1f, .max_grad_norm = 0.5f, .decayed = t[0].size() / 3});
       }},
      {"sample",
       0,
       {{{B}, step, true, 0}, {{B, V}}, {{B, V}, step, true, 0}, {{B, 2}, step, true, 1}},
       {},
       [](Device& d, const auto& t) {
         d.sample(t[0], t[1], t[2], t[3], {.top_k = 50, .top_p = 0.9, .seed = 7});
       }},
      {"increment", 0, {{{R}, step, true, 41}}, {}, [](Device& d, const auto& t) { d.increment(t[0]); }},
  };
}

/// The cases in fp32 and, where there are matrices, in bf16. A result in bf16 differs by half a unit, 2^-9 of
/// itself, if the values before rounding differ a little; attention also rounds probabilities.
std::vector<Case> all_cases(const ComparisonSizes& sizes) {
  std::vector<Case> cases;
  for (Case& c : fp32_cases(sizes)) {
    cases.push_back(c);
    if (c.matrices.empty()) continue;
    c.name += " bf16";
    c.tolerance = std::max(c.tolerance, 0x1p-7);
    for (const size_t i : c.matrices) c.operands[i].dtype = DType::kBF16;
    cases.push_back(std::move(c));
  }
  return cases;
}

/// The largest error of all compared tensors, each relative to its largest value, or NaN if an element is
/// NaN.
double largest_error(const Case& c, const Operands& ours, const Operands& cpus) {
  double worst = 0.0;
  for (size_t i = 0; i < c.operands.size(); ++i) {
    if (!c.operands[i].compared) continue;
    const std::vector<double> actual = ours.values(i), expected = cpus.values(i);
    LargestError error;
    for (size_t k = 0; k < actual.size(); ++k) error.add(actual[k], expected[k]);
    if (std::isnan(error.relative())) return error.relative();
    worst = std::max(worst, error.relative());
  }
  return worst;
}

std::string duration(double seconds) {
  return seconds < 1e-3 ? fmt::format("{:.1f} us", seconds * 1e6) : fmt::format("{:.2f} ms", seconds * 1e3);
}

}  // namespace

bool DeviceReport::agrees() const {
  return std::all_of(operations.begin(), operations.end(), [](const auto& o) { return o.agrees(); });
}

DeviceReport compare_with_cpu(Device& device, const ComparisonSizes& sizes, int cpu_threads,
                              const std::function<void(const OperationReport&)>& done) {
  CpuDevice cpu(cpu_threads);
  TimingDevice cost_of(cpu);
  DeviceReport report{device.description(), copy_speed(device, sizes.B * sizes.T * sizes.F * 4), {}};
  for (const Case& c : all_cases(sizes)) {
    const Operands ours(device, c), cpus(cost_of, c);
    ours.run();
    cost_of.start();
    cpus.run();
    const OperationCost cost = cost_of.stop().back().cost;
    const double error = largest_error(c, ours, cpus);
    report.operations.push_back(
        {c.name, error, c.tolerance, seconds_of(device, [&] { ours.run(); }), cost.bytes, cost.flops});
    if (done) done(report.operations.back());
  }
  return report;
}

std::string line_of(const OperationReport& o, double copy_bytes_per_second) {
  constexpr double kManyPerByte = 10.0;  // the memory bounds operations with fewer FLOP per byte
  const double speed = o.bytes / o.seconds;
  const std::string rate =
      o.flops > kManyPerByte * o.bytes
          ? fmt::format("{:.2f} TFLOP/s", o.flops / o.seconds / 1e12)
          : fmt::format("{:.1f} GB/s, {:.0f} % of a copy", speed / 1e9, 100 * speed / copy_bytes_per_second);
  return fmt::format("{:<33}{} {:.1e} (at most {:.0e})  {:>9}  {}", o.name, o.agrees() ? "ok   " : "WRONG",
                     o.error, o.tolerance, duration(o.seconds), rate);
}

std::string text_of(const DeviceReport& report) {
  std::string text = fmt::format("HipGPT {}, {}\n{}\na copy moves {:.1f} GB/s\n", HIPGPT_VERSION,
                                 HIPGPT_COMPILER, report.description, report.copy_bytes_per_second / 1e9);
  int wrong = 0;
  for (const OperationReport& o : report.operations) {
    text += line_of(o, report.copy_bytes_per_second) + "\n";
    wrong += o.agrees() ? 0 : 1;
  }
  return text + (wrong == 0 ? fmt::format("all {} operations agree with the CPU\n", report.operations.size())
                            : fmt::format("{} of {} operations differ from the CPU: please report this\n",
                                          wrong, report.operations.size()));
}

}  // namespace hipgpt
