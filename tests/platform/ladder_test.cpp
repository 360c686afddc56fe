// Every rung of the ladders computes what src/reference defines.
#include "hip/ladder/ladder.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "device.h"
#include "reference/attention.h"
#include "reference/layernorm.h"
#include "reference/matmul.h"

namespace hipgpt {
namespace {

using hip::ladder::wait;
using reference::Values;

class Ladder : public testing::Test {
 protected:
  /// Normally distributed floats, as doubles.
  Values random(size_t count) {
    std::normal_distribution<float> normal(0.5f, 1.0f);
    Values values(count);
    for (double& v : values) v = normal(generator_);
    return values;
  }

  /// A copy on the GPU, which lives as long as the test. Without values, it is uninitialised.
  float* on_gpu(size_t count, const Values& values = {}) {
    buffers_.emplace_back(std::make_unique<Buffer>(*device_, count * sizeof(float)));
    auto* data = reinterpret_cast<float*>(buffers_.back()->data());
    if (!values.empty()) {
      const std::vector<float> floats(values.begin(), values.end());
      device_->copy_to_device(Tensor(data, {static_cast<int64_t>(count)}), floats.data());
    }
    return data;
  }

  void expect_near(const char* rung, float* actual, const Values& expected, double tolerance) {
    std::vector<float> values(expected.size());
    device_->copy_to_host(values.data(), Tensor(actual, {static_cast<int64_t>(values.size())}));
    for (size_t i = 0; i < values.size(); ++i)
      ASSERT_NEAR(values[i], expected[i], tolerance) << rung << ", element " << i;
  }

 private:
  std::mt19937 generator_{1};
  std::unique_ptr<Device> device_ = make_device("hip", 1);
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

TEST_F(Ladder, LayerNorm) {
  ASSERT_EQ(hip::ladder::layernorm_rungs().size(), 4u);
  // One chunk of a team, parts of chunks, and the widest row; the last block has rows to spare.
  for (const int E : {4, 128, 132, 300, 1024}) {
    const int rows = 21;
    const Values x = random(rows * E), w = random(E), b = random(E), expected = reference::layernorm(x, w, b);
    for (const auto& rung : hip::ladder::layernorm_rungs()) {
      float* y = on_gpu(x.size());
      rung.run(y, on_gpu(x.size(), x), on_gpu(w.size(), w), on_gpu(b.size(), b), rows, E);
      wait();
      expect_near(rung.name, y, expected, 1e-4);
    }
  }
}

TEST_F(Ladder, Matmul) {
  ASSERT_EQ(hip::ladder::matmul_rungs().size(), 6u);
  // Several tiles each way, and enough steps along k for each buffer to be filled again.
  const int m = 256, n = 128, k = 64;
  const Values a = random(m * k), b = random(k * n),
               expected = reference::matmul(a, false, b, false, m, n, k);
  for (const auto& rung : hip::ladder::matmul_rungs()) {
    float* c = on_gpu(expected.size());
    rung.run(c, on_gpu(a.size(), a), on_gpu(b.size(), b), m, n, k);
    wait();
    expect_near(rung.name, c, expected, 1e-3);
  }
}

TEST_F(Ladder, Attention) {
  ASSERT_EQ(hip::ladder::attention_rungs().size(), 2u);
  const int B = 2, T = 37, H = 3;
  for (const int D : {32, 64, 128}) {
    const int E = H * D;
    const Values qkv = random(B * T * 3 * E), expected = reference::attention(qkv, B, T, H, E);
    for (const auto& rung : hip::ladder::attention_rungs()) {
      float* out = on_gpu(expected.size());
      rung.run(out, on_gpu(B * H * T * T), on_gpu(qkv.size(), qkv), B, T, H, D);
      wait();
      expect_near(rung.name, out, expected, 1e-4);
    }
  }
}

}  // namespace
}  // namespace hipgpt
