// Tests of --check-device: correct devices agree, and wrong operations are found and named.
#include "device/compare_with_cpu.h"

#include <algorithm>
#include <set>

#include "device_fixture.h"

namespace hipgpt {
namespace {

constexpr ComparisonSizes kSmall{.B = 2, .T = 20, .E = 24, .H = 3, .F = 40, .V = 301, .S = 32, .N = 60};

class Comparison : public DeviceTest {};

int times_in(const DeviceReport& report, const std::string& operation) {
  int times = 0;
  for (const OperationReport& o : report.operations) times += o.name == operation ? 1 : 0;
  return times;
}

INSTANTIATE_TEST_SUITE_P(Devices, Comparison, testing::ValuesIn(all_devices()), case_name);

TEST_P(Comparison, EveryOperationOfEveryDeviceAgrees) {
  int heard = 0;
  const DeviceReport report = compare_with_cpu(*device_, kSmall, 1, [&](const OperationReport&) { ++heard; });
  EXPECT_TRUE(report.agrees()) << text_of(report);
  EXPECT_EQ(heard, static_cast<int>(report.operations.size()));
  int operations = 0;
#define HIPGPT_OPERATION(name, parameters, arguments) \
  ++operations;                                       \
  EXPECT_EQ(times_in(report, #name), 1) << #name;
#include "operations.h"
  const auto in_bf16 =
      std::ranges::count_if(report.operations, [](const auto& o) { return o.name.ends_with(" bf16"); });
  EXPECT_EQ(static_cast<int>(report.operations.size()), operations + static_cast<int>(in_bf16));
  EXPECT_EQ(in_bf16, 14);
}

/// Bytes that must move and FLOP, from the sizes alone.
TEST(ComparisonTest, TheCostOfAnOperation) {
  const auto device = make_device("cpu", 1);
  const DeviceReport report = compare_with_cpu(*device, kSmall, 1);
  const auto of = [&](const std::string& name) {
    return *std::ranges::find(report.operations, name, &OperationReport::name);
  };
  const double R = 40, E = 24, F = 40, N = 60, T = 20, H = 3, V = 301, B = 2;
  EXPECT_EQ(of("linear").bytes, 4 * (R * E + E * F + F + 2 * R * F));
  EXPECT_EQ(of("linear bf16").bytes, 2 * (R * E + E * F + 2 * R * F) + 4 * F);
  EXPECT_EQ(of("linear").flops, 2 * R * E * F + 9 * R * F);
  EXPECT_EQ(of("linear_backward").flops, 4 * R * E * F + R * F + 2 * R * E);
  EXPECT_EQ(of("layernorm").bytes, 4 * (2 * N * E + 2 * N + 2 * E));
  EXPECT_EQ(of("residual_layernorm bf16").bytes, 2 * 4 * N * E + 4 * (2 * N + 2 * E));
  EXPECT_EQ(of("attention").bytes, 4 * (R * 3 * E + R * E + R * H));
  EXPECT_EQ(of("attention").flops, B * T * (T + 1) / 2 * (4 * E + 4 * H));
  EXPECT_EQ(of("attention_backward").flops, B * T * (T + 1) / 2 * (10 * E + 8 * H));
  EXPECT_EQ(of("add_dropout").bytes, 12 * N * E);
  EXPECT_EQ(of("cross_entropy_with_gradient").bytes, 4 * (2 * T * V + 2 * T));
  EXPECT_EQ(of("adamw").bytes, 28 * N * E + 16);
  EXPECT_EQ(of("round_to_bf16").bytes, 6 * N * E);
  EXPECT_EQ(of("sample").bytes, 4 * (B * V + 3 * B));
}

/// The memory bounds operations with few FLOP per byte, so their lines have GB/s.
TEST(ComparisonTest, ALineHasTheRateThatBoundsTheOperation) {
  const OperationReport slow{"layernorm", 0.0, 1.0, 1e-3, 1e6, 1e6},
      product{"linear", 0.0, 1.0, 1e-3, 1e6, 1e9};
  EXPECT_NE(line_of(slow, 2e9).find("1.0 GB/s, 50 % of a copy"), std::string::npos);
  EXPECT_NE(line_of(product, 2e9).find("1.00 TFLOP/s"), std::string::npos);
}

/// A device that forwards every call to another one.
class Forwarding : public Device {
 public:
  Forwarding() : inner_(make_device("cpu", 1)) {}
  std::string description() const override { return inner_->description(); }
  Memory memory() const override { return inner_->memory(); }
  void* allocate(size_t bytes) override { return inner_->allocate(bytes); }
  void release(void* memory) noexcept override { inner_->release(memory); }
  void* allocate_host(size_t bytes) override { return inner_->allocate_host(bytes); }
  void release_host(void* memory) noexcept override { inner_->release_host(memory); }
  void copy_to_device(Tensor dst, const void* host) override { inner_->copy_to_device(dst, host); }
  void copy_to_host(void* host, Tensor src) override { inner_->copy_to_host(host, src); }
  void copy(Tensor dst, Tensor src) override { inner_->copy(dst, src); }
  void set_zero(Tensor t) override { inner_->set_zero(t); }
  DType preferred_dtype() const override { return inner_->preferred_dtype(); }
  int64_t working_set() const override { return inner_->working_set(); }
  std::unique_ptr<Graph> capture(std::function<void()> f) override { return inner_->capture(std::move(f)); }

#define HIPGPT_OPERATION(name, parameters, arguments) \
  void name parameters override {                     \
    inner_->name arguments;                           \
  }
#include "operations.h"

 private:
  std::unique_ptr<Device> inner_;
};

/// Has one wrong element in a result, draws a wrong token, and returns NaN, alone or among correct elements.
class Wrong final : public Forwarding {
 public:
  void layernorm(Tensor y, const NormStats& stats, Tensor x, const Norm& norm) override {
    Forwarding::layernorm(y, stats, x, norm);
    if (y.dtype() == DType::kF32) y.f32()[3] *= 1.001f;
  }
  void sample(Tensor token, Tensor logits, Tensor seen, Tensor draw, const Sampling& options) override {
    Forwarding::sample(token, logits, seen, draw, options);
    ++token.i32()[1];
  }
  void l2_norm(Tensor out, Tensor x) override {
    Forwarding::l2_norm(out, x);
    *out.f32() = std::nanf("");
  }
  void add_dropout(Tensor y, Tensor x, Tensor branch, const Dropout& dropout) override {
    Forwarding::add_dropout(y, x, branch, dropout);
    if (y.dtype() == DType::kF32) y.f32()[0] = std::nanf("");
  }
  void layernorm_backward(Tensor dx, const Norm& gradients, Tensor dy, Tensor x, const Norm& norm,
                          const NormStats& stats, Tensor dx_sums) override {
    Forwarding::layernorm_backward(dx, gradients, dy, x, norm, stats, dx_sums);
    if (dx.dtype() == DType::kF32) dx.f32()[5] = std::nanf("");  // the tensors compared after dx are correct
  }
};

TEST(ComparisonTest, AWrongOperationIsFoundAndNamed) {
  Wrong wrong;
  const DeviceReport report = compare_with_cpu(wrong, kSmall, 1);
  EXPECT_FALSE(report.agrees());
  const std::set<std::string> wrong_names = {"layernorm", "sample", "l2_norm", "add_dropout",
                                             "layernorm_backward"};
  for (const OperationReport& o : report.operations) {
    const bool is_wrong = wrong_names.contains(o.name);
    EXPECT_EQ(o.agrees(), !is_wrong) << o.name;
    EXPECT_EQ(line_of(o, 1e9).find("WRONG") != std::string::npos, is_wrong) << o.name;
  }
  EXPECT_NE(text_of(report).find("5 of 34 operations differ"), std::string::npos) << text_of(report);
}

}  // namespace
}  // namespace hipgpt
