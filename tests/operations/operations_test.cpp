// Compares every operation of every device with its formula in double precision, and every backward operation
// with central differences of that formula. Sizes are one, primes, powers of two, and larger than one tile or
// block.
#include <map>
#include <tuple>

#include "device_fixture.h"

namespace hipgpt {
namespace {

using reference::Values;

constexpr double kForward = 2e-6;  // of the largest value: a few roundings of fp32
constexpr double kGradient = 1e-4;

class Operations : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, Operations, testing::ValuesIn(all_devices_and_levels()), case_name);

struct Size {
  int64_t m, n, k;
};

TEST_P(Operations, LinearInBothLayouts) {
  for (const Size s : {Size{1, 1, 1},
                       {1, 7, 5},
                       {2, 3, 5},
                       {17, 1, 13},
                       {64, 64, 64},
                       {129, 67, 31},
                       {1, 600, 70},
                       {1, 44, 260},
                       {600, 33, 9},
                       {70, 1100, 40},
                       {260, 390, 68},
                       {36, 44, 1300}}) {
    for (const Layout layout : {Layout::kInOut, Layout::kOutIn}) {
      const bool out_in = layout == Layout::kOutIn;
      const Tensor x = random({s.m, s.k}), y = random({s.m, s.n});
      const Tensor w = out_in ? random({s.n, s.k}) : random({s.k, s.n});
      device_->linear(y, x, {w, {}, layout}, Activation::kNone, {});
      expect_close(values(y), reference::matmul(values(x), false, values(w), out_in, s.m, s.n, s.k), kForward,
                   fmt_size("linear", s.m, s.n, s.k));
    }
  }
}

#ifndef HIPGPT_EMULATED
/// The sizes are so large that a GPU uses its largest tiles and splits k. Those of the CPU have several of its tiles, and
/// sums of several panels.
TEST_P(Operations, LargeLinearAndItsGradient) {
  const std::vector<Size> for_gpu = {{1030, 1100, 72}, {1030, 1101, 70}, {388, 384, 4100}, {4100, 388, 384}};
  const std::vector<Size> for_cpu = {{1030, 525, 36}, {132, 65, 1050}, {1050, 131, 64}};
  for (const Size s : GetParam().name == "cpu" ? for_cpu : for_gpu) {
    for (const Layout layout : {Layout::kInOut, Layout::kOutIn}) {
      const bool out_in = layout == Layout::kOutIn;
      const Tensor x = random({s.m, s.k}), y = zeros({s.m, s.n}), dx = zeros({s.m, s.k});
      const Tensor w = out_in ? random({s.n, s.k}) : random({s.k, s.n});
      const Tensor dw = out_in ? zeros({s.n, s.k}) : zeros({s.k, s.n});
      const double tolerance = 2 * kForward;  // the error of fp32 sums grows with their length
      const std::string size = fmt_size("", s.m, s.n, s.k);
      device_->linear(y, x, {w, {}, layout}, Activation::kNone, {});
      const Values vx = values(x), vy = values(y);
      expect_close(vy, reference::matmul(vx, false, values(w), out_in, s.m, s.n, s.k), tolerance, "y" + size);
      device_->linear_backward(dx, {dw, {}, layout}, y, x, {w, {}, layout}, {}, {});
      expect_close(values(dx), reference::matmul(vy, false, values(w), !out_in, s.m, s.k, s.n), tolerance,
                   "dx" + size);
      expect_close(values(dw),
                   out_in ? reference::matmul(vy, true, vx, false, s.n, s.k, s.m)
                          : reference::matmul(vx, true, vy, false, s.k, s.n, s.m),
                   tolerance, "dw" + size);
    }
  }
}
#endif

TEST_P(Operations, LinearWithBiasAndActivation) {
  for (const Size s : {Size{1, 5, 3}, {7, 13, 11}, {65, 600, 17}}) {
    for (const Activation act :
         {Activation::kNone, Activation::kRelu, Activation::kGelu, Activation::kGeluErf}) {
      for (const bool transposed : {false, true}) {
        const Tensor x = random({s.m, s.k}), w = transposed ? random({s.n, s.k}) : random({s.k, s.n});
        const Tensor b = random({s.n}), y = zeros({s.m, s.n}), slope = zeros({s.m, s.n});
        const Values z = reference::linear(values(x), values(w), transposed, values(b), s.m, s.k, s.n);
        Values expected = z, expected_slope = z;
        for (double& v : expected) v = reference::activation(act, v);
        for (double& v : expected_slope) v = reference::activation_slope(act, v);
        const Layout layout = transposed ? Layout::kOutIn : Layout::kInOut;
        device_->linear(y, x, {w, b, layout}, act, slope);
        expect_close(values(y), expected, kForward, fmt_size("linear", s.m, s.n, s.k));
        expect_close(values(slope), expected_slope, kForward, fmt_size("linear's slope", s.m, s.n, s.k));
        device_->set_zero(y);
        device_->linear(y, x, {w, b, layout}, act, {});
        expect_close(values(y), expected, kForward, fmt_size("linear without slope", s.m, s.n, s.k));
        device_->linear(y, x, {w, {}, layout}, Activation::kNone, {});
        expect_close(values(y), reference::linear(values(x), values(w), transposed, {}, s.m, s.k, s.n),
                     kForward, "linear without bias");
      }
    }
  }
}

/// Compares dW, db, dx and its sums with sums in double, in both layouts of W.
TEST_P(Operations, LinearBackward) {
  for (const Size s : {Size{1, 5, 3}, {5, 3, 7}, {66, 70, 65}, {530, 36, 12}, {40, 1, 260}}) {
    for (const bool transposed : {false, true}) {
      for (const bool with_slope : {false, true}) {
        const int64_t rows = s.m, out = s.n, in = s.k;
        const Tensor x = random({rows, in}), w = transposed ? random({out, in}) : random({in, out});
        const Tensor dy = random({rows, out}), dx = random({rows, in}), slope = random({rows, in});
        const Tensor dw = random(transposed ? std::initializer_list<int64_t>{out, in}
                                            : std::initializer_list<int64_t>{in, out});
        const Tensor db = random({out}), dx_sums = random({in});
        const Values vx = values(x), vdy = values(dy), vslope = values(slope);
        Values expected_dx = reference::matmul(vdy, false, values(w), !transposed, rows, in, out);
        Values expected_sums = values(dx_sums);
        for (size_t i = 0; i < expected_dx.size(); ++i) {
          if (with_slope) expected_dx[i] *= vslope[i];
          expected_sums[i % in] += expected_dx[i];
        }
        Values expected_dw = transposed ? reference::matmul(vdy, true, vx, false, out, in, rows)
                                        : reference::matmul(vx, true, vdy, false, in, out, rows);
        const Values dw_before = values(dw);
        for (size_t i = 0; i < expected_dw.size(); ++i) expected_dw[i] += dw_before[i];
        Values expected_db = values(db);
        for (int64_t i = 0; i < rows * out; ++i) expected_db[i % out] += vdy[i];

        const Layout layout = transposed ? Layout::kOutIn : Layout::kInOut;
        device_->linear_backward(dx, {dw, db, layout}, dy, x, {w, {}, layout}, with_slope ? slope : Tensor(),
                                 dx_sums);
        expect_close(values(dx), expected_dx, 5e-6, fmt_size("dx", s.m, s.n, s.k));
        expect_close(values(dw), expected_dw, 5e-6, fmt_size("dw", s.m, s.n, s.k));
        expect_close(values(db), expected_db, 5e-6, fmt_size("db", s.m, s.n, s.k));
        expect_close(values(dx_sums), expected_sums, 2e-5, fmt_size("sums of dx", s.m, s.n, s.k));
      }
    }
  }
}

TEST_P(Operations, LinearBackwardWithoutBiasLeavesItAlone) {
  const Tensor x = random({3, 4}), w = random({4, 5}), dy = random({3, 5}), dx = zeros({3, 4}),
               dw = zeros({4, 5});
  device_->linear_backward(dx, {dw, {}}, dy, x, {w, {}}, {}, {});
  expect_close(values(dx), reference::matmul(values(dy), false, values(w), true, 3, 4, 5), kForward, "dx");
}

TEST_P(Operations, ActivationsAreExactAtTheirEnds) {
  const Tensor x = zeros({1, 6}), w = zeros({6, 6}), y = zeros({1, 6});
  const std::vector<float> ends = {-100.0f, -5.0f, -1e-4f, 0.0f, 5.0f, 100.0f};
  std::vector<float> identity(36, 0.0f);
  for (int i = 0; i < 6; ++i) identity[7 * i] = 1.0f;
  device_->copy_to_device(x, ends.data());
  device_->copy_to_device(w, identity.data());
  for (const Activation act : {Activation::kGelu, Activation::kGeluErf}) {
    device_->linear(y, x, {w, {}}, act, {});
    const Values actual = values(y);
    for (size_t i = 0; i < ends.size(); ++i) {
      EXPECT_NEAR(actual[i], reference::activation(act, ends[i]), 1e-6 + 1e-6 * std::abs(ends[i]));
    }
  }
}

TEST_P(Operations, Embedding) {
  for (const int64_t E : {1, 5, 128}) {
    const int64_t B = 3, T = 4, V = 7, S = 9;
    const int32_t first = 5;
    const Tensor wte = random({V, E}), wpe = random({S, E}), ids = random_tokens({B, T}, V),
                 y = zeros({B * T, E});
    device_->embedding(y, ids, wte, wpe, tensor(std::vector<int32_t>{first}));
    const Values a = values(wte), b = values(wpe);
    const auto id = tokens(ids);
    Values expected(B * T * E);
    for (int64_t i = 0; i < B * T; ++i) {
      for (int64_t e = 0; e < E; ++e) expected[i * E + e] = a[id[i] * E + e] + b[(first + i % T) * E + e];
    }
    expect_close(values(y), expected, kForward, "embedding");
    device_->embedding(y, ids, wte, wpe, {});
    for (int64_t i = 0; i < B * T; ++i) {
      for (int64_t e = 0; e < E; ++e) expected[i * E + e] = a[id[i] * E + e] + b[i % T * E + e];
    }
    expect_close(values(y), expected, kForward, "embedding from position 0");
  }
}

struct EmbeddingSize {
  int64_t B, T, V, E;
};

TEST_P(Operations, EmbeddingBackwardAddsUpRepeatedTokens) {
  // Most cases have more tokens than vocabulary entries, so that tokens repeat. With a vocabulary of one they
  // are all the same.
  for (const auto& [B, T, V, E] : {EmbeddingSize{6, 5, 4, 1},
                                   {6, 5, 4, 5},
                                   {6, 5, 4, 128},
                                   {1, 1, 3, 8},
                                   {30, 41, 7, 20},
                                   {9, 33, 1, 36},
                                   {2, 50, 5000, 12}}) {
    const int64_t S = T + 3;
    const Tensor ids = random_tokens({B, T}, V), dy = random({B * T, E}), dwte = random({V, E}),
                 dwpe = random({S, E});
    Values expected_wte = values(dwte), expected_wpe = values(dwpe);
    const Values v = values(dy);
    const auto id = tokens(ids);
    for (int64_t i = 0; i < B * T; ++i) {
      for (int64_t e = 0; e < E; ++e) {
        expected_wte[id[i] * E + e] += v[i * E + e];
        expected_wpe[i % T * E + e] += v[i * E + e];
      }
    }
    device_->embedding_backward(dwte, dwpe, dy, ids);
    expect_close(values(dwte), expected_wte, kForward, "dwte");
    expect_close(values(dwpe), expected_wpe, kForward, "dwpe");
  }
}

TEST_P(Operations, LayerNormAndItsGradient) {
  for (const auto& [rows, E] : {std::pair<int64_t, int64_t>{1, 1}, {1, 8}, {3, 7}, {5, 37}, {130, 129}}) {
    const Tensor x = random({rows, E}), w = random({E}), b = random({E}), y = zeros({rows, E});
    const Tensor mean = zeros({rows}), rstd = zeros({rows});
    device_->layernorm(y, {mean, rstd}, x, {w, b});
    const Values vx = values(x), vw = values(w), vb = values(b);
    expect_close(values(y), reference::layernorm(vx, vw, vb), 2e-5, fmt_size("layernorm", rows, E));
    if (rows * E > 200) continue;

    const Tensor dy = random({rows, E}), dx = zeros({rows, E}), dw = zeros({E}), db = zeros({E});
    device_->layernorm_backward(dx, {dw, db}, dy, x, {w, {}}, {mean, rstd}, {});
    const Values weights = values(dy);
    const auto loss = [&](const Values& a, const Values& c, const Values& d) {
      return reference::dot(weights, reference::layernorm(a, c, d));
    };
    if (E > 1) {  // with one channel dx is exactly zero
      expect_close(values(dx),
                   reference::central_differences([&](const Values& v) { return loss(v, vw, vb); }, vx),
                   kGradient, "dx");
    }
    expect_close(values(dw),
                 reference::central_differences([&](const Values& v) { return loss(vx, v, vb); }, vw),
                 E > 1 ? kGradient : 1e30, "dw");
    expect_close(values(db),
                 reference::central_differences([&](const Values& v) { return loss(vx, vw, v); }, vb),
                 kGradient, "db");
  }
}

TEST_P(Operations, LayerNormOfAResidualSum) {
  for (const auto& [rows, E] : {std::pair<int64_t, int64_t>{1, 1}, {3, 7}, {9, 128}, {5, 1100}}) {
    for (const float p : {0.0f, 0.3f}) {
      const Tensor x = random({rows, E}), branch = random({rows, E}), w = random({E}), b = random({E});
      const Tensor sum = zeros({rows, E}), y = zeros({rows, E}), mean = zeros({rows}), rstd = zeros({rows});
      const Dropout dropout{.p = p, .seed = 4, .micro_step = tensor(std::vector<int32_t>{8}), .site = 1};
      device_->residual_layernorm(sum, y, {mean, rstd}, x, branch, dropout, {w, b});
      const Tensor expected_sum = zeros({rows, E}), expected = zeros({rows, E});
      device_->add_dropout(expected_sum, x, branch, dropout);
      expect_close(values(sum), values(expected_sum), kForward, fmt_size("sum", rows, E));
      expect_close(values(y), reference::layernorm(values(sum), values(w), values(b)), 2e-5,
                   fmt_size("layernorm of sum", rows, E));
      const Tensor other_mean = zeros({rows}), other_rstd = zeros({rows});
      device_->layernorm(expected, {other_mean, other_rstd}, sum, {w, b});
      expect_close(values(mean), values(other_mean), 1e-5, "mean");
      expect_close(values(rstd), values(other_rstd), 1e-5, "rstd");
    }
  }
}

TEST_P(Operations, LayerNormBackwardOfManyRowsAgreesWithSums) {
  for (const auto& [rows, E] : {std::pair<int64_t, int64_t>{700, 24}, {90, 1030}}) {
    const Tensor x = random({rows, E}), w = random({E}), b = random({E}), y = zeros({rows, E});
    const Tensor mean = zeros({rows}), rstd = zeros({rows}), dy = random({rows, E});
    const Tensor dx = random({rows, E}), dw = random({E}), db = random({E}), dx_sums = random({E});
    device_->layernorm(y, {mean, rstd}, x, {w, b});
    Values edx = values(dx), edw = values(dw), edb = values(db), esums = values(dx_sums);
    const Values vx = values(x), vw = values(w), vdy = values(dy), vm = values(mean), vr = values(rstd);
    for (int64_t i = 0; i < rows; ++i) {
      double mean_g = 0, mean_gx = 0;
      const auto xh = [&](int64_t e) { return (vx[i * E + e] - vm[i]) * vr[i]; };
      for (int64_t e = 0; e < E; ++e) {
        mean_g += vdy[i * E + e] * vw[e] / static_cast<double>(E);
        mean_gx += vdy[i * E + e] * vw[e] * xh(e) / static_cast<double>(E);
        edw[e] += vdy[i * E + e] * xh(e);
        edb[e] += vdy[i * E + e];
      }
      for (int64_t e = 0; e < E; ++e)
        edx[i * E + e] += vr[i] * (vdy[i * E + e] * vw[e] - mean_g - xh(e) * mean_gx);
    }
    for (int64_t i = 0; i < rows * E; ++i) esums[i % E] += edx[i];
    device_->layernorm_backward(dx, {dw, db}, dy, x, {w, {}}, {mean, rstd}, dx_sums);
    expect_close(values(dx), edx, 1e-5, fmt_size("dx", rows, E));
    expect_close(values(dw), edw, 1e-5, fmt_size("dw", rows, E));
    expect_close(values(db), edb, 1e-5, fmt_size("db", rows, E));
    expect_close(values(dx_sums), esums, 1e-5, fmt_size("sums of dx", rows, E));
  }
}

TEST_P(Operations, LayerNormBackwardAddsToTheOldGradient) {
  const int64_t rows = 4, E = 6;
  const Tensor x = random({rows, E}), w = random({E}), b = random({E}), y = zeros({rows, E}),
               dy = random({rows, E});
  const Tensor mean = zeros({rows}), rstd = zeros({rows});
  device_->layernorm(y, {mean, rstd}, x, {w, b});
  const Tensor dx = zeros({rows, E}), dw = zeros({E}), db = zeros({E});
  device_->layernorm_backward(dx, {dw, db}, dy, x, {w, {}}, {mean, rstd}, {});
  Values twice = values(dx);
  for (double& v : twice) v *= 2;
  device_->layernorm_backward(dx, {dw, db}, dy, x, {w, {}}, {mean, rstd}, {});
  expect_close(values(dx), twice, kForward, "dx");
}

struct AttentionSize {
  int64_t B, T, H, D;
};

TEST_P(Operations, Attention) {
  for (const AttentionSize s : {AttentionSize{1, 1, 1, 1},
                                {2, 5, 3, 4},
                                {1, 64, 2, 8},
                                {2, 65, 1, 16},
                                {1, 131, 2, 7},
                                {1, 33, 1, 64},
                                {1, 70, 1, 100},
                                {2, 17, 1, 256}}) {
    const int64_t E = s.H * s.D;
    const Tensor qkv = random({s.B, s.T, 3 * E}), out = zeros({s.B, s.T, E}), lse = zeros({s.B, s.H, s.T});
    device_->attention(out, lse, qkv, static_cast<int>(s.H), {});
    expect_close(values(out), reference::attention(values(qkv), s.B, s.T, s.H, E), 5e-6,
                 fmt_size("attention", s.B, s.T, s.H));
  }
}

/// Returns the factors that a device's dropout applies to each row, read from an operation that only applies
/// them.
Values dropout_row(Device& device, int64_t rows, int64_t width, const Dropout& dropout) {
  std::vector<float> ones(static_cast<size_t>(rows * width), 1.0f);
  Buffer in(device, ones.size() * sizeof(float)), out(device, ones.size() * sizeof(float));
  const Tensor x(in.data(), {rows, width}), y(out.data(), {rows, width});
  device.copy_to_device(x, ones.data());
  device.add_dropout(y, {}, x, dropout);
  device.copy_to_host(ones.data(), y);
  return {ones.begin(), ones.end()};
}

TEST_P(Operations, AttentionGradient) {
  for (const float p : {0.0f, 0.3f}) {
    for (const AttentionSize s :
         {AttentionSize{1, 1, 1, 2}, {2, 5, 2, 3}, {1, 67, 1, 2}, {1, 9, 1, 40}, {1, 5, 1, 129}}) {
      const int64_t E = s.H * s.D;
      const Dropout dropout{.p = p, .seed = 7, .micro_step = tensor(std::vector<int32_t>{3}), .site = 2};
      const Tensor qkv = random({s.B, s.T, 3 * E}), out = zeros({s.B, s.T, E}), lse = zeros({s.B, s.H, s.T});
      const Tensor dout = random({s.B, s.T, E}), dqkv = random({s.B, s.T, 3 * E});
      device_->attention(out, lse, qkv, static_cast<int>(s.H), dropout);
      const Tensor dqkv_sums = random({3 * E});
      Values expected_sums = values(dqkv_sums);
      device_->attention_backward(dqkv, dout, qkv, out, lse, static_cast<int>(s.H), dropout, dqkv_sums);
      const Values actual = values(dqkv);
      for (size_t i = 0; i < actual.size(); ++i) expected_sums[i % expected_sums.size()] += actual[i];
      expect_close(values(dqkv_sums), expected_sums, 1e-5, fmt_size("sums of dqkv", s.B, s.T, s.H));

      const Values mask =
          p > 0 ? dropout_row(*device_, s.B * s.H * s.T, s.T, dropout) : Values(s.B * s.H * s.T * s.T, 1.0);
      const auto factor = [&](int64_t bh, int64_t i, int64_t j) { return mask[(bh * s.T + i) * s.T + j]; };
      const Values weights = values(dout), v = values(qkv);
      expect_close(values(out), reference::attention(v, s.B, s.T, s.H, E, factor), 5e-6,
                   "attention with dropout");
      const auto loss = [&](const Values& a) {
        return reference::dot(weights, reference::attention(a, s.B, s.T, s.H, E, factor));
      };
      expect_close(values(dqkv), reference::central_differences(loss, v), kGradient,
                   fmt_size("dqkv", s.B, s.T, s.H));
    }
  }
}

TEST_P(Operations, CachedAttentionEqualsAttention) {
  const int64_t T = 90, H = 2, D = 8, E = H * D;
  const Tensor qkv = random({1, T, 3 * E}), out = zeros({1, T, E}), lse = zeros({1, H, T});
  device_->attention(out, lse, qkv, static_cast<int>(H), {});
  const Tensor keys = zeros({1, T + 3, E}), cache_values = zeros({1, T + 3, E}), cached = zeros({T, E});
  const Tensor rows = qkv.reshape({T, 3 * E});
  int64_t past = 0;
  for (const int64_t count : {70, 1, 1, 17, 1}) {
    device_->attention_cached(cached.rows(past, count).reshape({1, count, E}), keys, cache_values,
                              rows.rows(past, count).reshape({1, count, 3 * E}), static_cast<int>(H),
                              tensor(std::vector<int32_t>{static_cast<int32_t>(past)}));
    past += count;
  }
  ASSERT_EQ(past, T);
  expect_close(values(cached), values(out), 5e-6, "cached attention");
}

TEST_P(Operations, CachedAttentionOfSeveralSequences) {
  const int64_t B = 3, T = 41, H = 2, S = T + 2;
  for (const int64_t D : {5, 8, 40}) {
    const int64_t E = H * D;
    const Tensor qkv = random({B, T, 3 * E}), out = zeros({B, T, E}), lse = zeros({B, H, T});
    device_->attention(out, lse, qkv, static_cast<int>(H), {});
    const Tensor keys = zeros({B, S, E}), cache_values = zeros({B, S, E});
    int64_t past = 0;
    for (const int64_t count : {1, 38, 1, 1}) {
      const Tensor rows = zeros({B, count, 3 * E}), result = zeros({B, count, E});
      Values expected;
      for (int64_t b = 0; b < B; ++b) {  // every sequence's tokens past ... past + count - 1
        const auto part = [&](Tensor all, int64_t width) {
          return all.rows(b, 1).reshape({T, width}).rows(past, count);
        };
        device_->copy(rows.rows(b, 1).reshape({count, 3 * E}), part(qkv, 3 * E));
        const Values of_sequence = values(part(out, E));
        expected.insert(expected.end(), of_sequence.begin(), of_sequence.end());
      }
      device_->attention_cached(result, keys, cache_values, rows, static_cast<int>(H),
                                tensor(std::vector<int32_t>{static_cast<int32_t>(past)}));
      expect_close(values(result), expected, 5e-6, fmt_size("sequences", D, past, count));
      past += count;
    }
    for (const Tensor& cache : {keys, cache_values}) {  // nothing is written behind the last row
      for (int64_t b = 0; b < B; ++b)
        EXPECT_EQ(values(cache.rows(b, 1).reshape({S, E}).rows(T, 2)), Values(static_cast<size_t>(2 * E)));
    }
  }
}

TEST_P(Operations, DropoutKeepsTheRightShareAndScalesIt) {
  const int64_t rows = 200, E = 250;
  const Tensor one = tensor(std::vector<int32_t>{1}), two = tensor(std::vector<int32_t>{2});
  const Dropout dropout{.p = 0.2f, .seed = 5, .micro_step = one, .site = 4};
  const Values factors = dropout_row(*device_, rows, E, dropout);
  size_t dropped = 0;
  for (const double f : factors) {
    if (f == 0.0) {
      ++dropped;
    } else {
      ASSERT_NEAR(f, 1.25, 1e-6);
    }
  }
  EXPECT_NEAR(static_cast<double>(dropped) / static_cast<double>(rows * E), 0.2,
              0.01);  // 5.6 standard deviations
  EXPECT_EQ(factors, dropout_row(*device_, rows, E, dropout));
  for (const Dropout& other :
       {Dropout{0.2f, 6, one, 4}, Dropout{0.2f, 5, two, 4}, Dropout{0.2f, 5, one, 5}}) {
    EXPECT_NE(factors, dropout_row(*device_, rows, E, other));
  }
}

TEST_P(Operations, ResidualAddition) {
  const Tensor x = random({33, 129}), branch = random({33, 129}), y = zeros({33, 129});
  device_->add_dropout(y, x, branch, {});
  Values expected = values(x);
  const Values b = values(branch);
  for (size_t i = 0; i < expected.size(); ++i) expected[i] += b[i];
  expect_close(values(y), expected, kForward, "sum");
  const Dropout dropout{.p = 0.5f, .seed = 1, .micro_step = tensor(std::vector<int32_t>{2}), .site = 3};
  const Values factors = dropout_row(*device_, 33, 129, dropout);
  device_->add_dropout(y, {}, branch, dropout);
  Values masked = b;
  for (size_t i = 0; i < masked.size(); ++i) masked[i] *= factors[i];
  expect_close(values(y), masked, kForward, "dropout of the branch alone");
}

TEST_P(Operations, CrossEntropyAndItsGradient) {
  for (const auto& [rows, V] :
       {std::pair<int64_t, int64_t>{1, 1}, {1, 2}, {5, 7}, {3, 67}, {3, 601}, {40, 5000}}) {
    const Tensor logits = random({rows, V}), targets = random_tokens({rows}, static_cast<int>(V)),
                 losses = zeros({rows});
    Values z = values(logits);
    const auto wanted = tokens(targets);
    const Values expected = reference::cross_entropy(z, wanted);
    device_->cross_entropy(losses, logits, targets);
    if (V > 1) expect_close(values(losses), expected, kForward, fmt_size("loss", rows, V));
    device_->set_zero(losses);
    device_->cross_entropy_with_gradient(losses, logits, targets, 0.5f);
    if (V > 1) expect_close(values(losses), expected, kForward, fmt_size("loss with gradient", rows, V));
    if (rows * V > 1000 || V == 1) continue;
    const auto loss = [&](const Values& v) {
      double total = 0;
      for (const double l : reference::cross_entropy(v, wanted)) total += 0.5 * l;
      return total;
    };
    expect_close(values(logits), reference::central_differences(loss, z), kGradient,
                 fmt_size("dlogits", rows, V));
  }
}

TEST_P(Operations, CrossEntropyOfExtremeLogits) {
  const Tensor logits = zeros({2, 3}), targets = zeros({2}, DType::kI32), losses = zeros({2});
  const std::vector<float> z = {1e4f, -1e4f, 0.0f, -3e38f, 3e38f, 0.0f};
  device_->copy_to_device(logits, z.data());
  device_->cross_entropy(losses, logits, targets);
  const Values actual = values(losses);
  EXPECT_NEAR(actual[0], 0.0, 1e-6);
  EXPECT_GT(actual[1], 1e38);
}

TEST_P(Operations, NanInLogitsIsNanInTheLoss) {
  const Tensor logits = random({1, 40}), targets = zeros({1}, DType::kI32), losses = zeros({1});
  std::vector<float> z(40, 0.5f);
  z[17] = std::nanf("");
  device_->copy_to_device(logits, z.data());
  device_->cross_entropy(losses, logits, targets);
  float loss = 0;
  device_->copy_to_host(&loss, losses);
  EXPECT_TRUE(std::isnan(loss));
}

TEST_P(Operations, SumAndNorm) {
  for (const int64_t n : {1, 8191, 8192, 8193, 100003}) {
    const Tensor x = random({n}), out = zeros({1});
    double sum = 0, squares = 0;
    for (const double v : values(x)) {
      sum += v;
      squares += v * v;
    }
    device_->sum(out, x);
    EXPECT_NEAR(values(out)[0], sum, 1e-6 * std::max(1.0, std::abs(sum)));
    device_->l2_norm(out, x);
    EXPECT_NEAR(values(out)[0], std::sqrt(squares), 1e-6 * std::sqrt(squares));
  }
}

std::vector<float> adamw_rates(double learning_rate, double beta1, double beta2, int64_t step) {
  const double t = static_cast<double>(step);
  return {static_cast<float>(learning_rate), static_cast<float>(1 / (1 - std::pow(beta1, t))),
          static_cast<float>(1 / (1 - std::pow(beta2, t)))};
}

TEST_P(Operations, AdamWDoesNothingWithAGradientThatIsNotFinite) {
  for (const float bad : {std::nanf(""), HUGE_VALF}) {
    const Tensor p = random({50}), g = random({50}), m = random({50}), v = zeros({50});
    const Values before = values(p), moment = values(m);
    device_->adamw(p, {}, g, m, v, tensor(std::vector<float>{bad}), tensor(adamw_rates(0.1, 0.9, 0.9, 1)),
                   {});
    EXPECT_EQ(values(p), before);
    EXPECT_EQ(values(m), moment);
  }
}

TEST_P(Operations, AdamW) {
  for (const int64_t n : {1, 20001}) {
    for (const float clip : {0.0f, 1.0f}) {
      const Tensor p = random({n}), g = random({n}), m = zeros({n}), v = zeros({n}), norm = zeros({1});
      Values ep = values(p), em(n, 0.0), ev(n, 0.0);
      // With 20001 elements, `decayed` falls between two elements that are updated together.
      const int64_t decayed = n / 2 / 2 * 2 - (n > 1);
      for (int64_t step = 1; step <= 3; ++step) {
        device_->l2_norm(norm, g);
        const double c = clip > 0 ? std::min(1.0, clip / values(norm)[0]) : 1.0;
        device_->adamw(p, {}, g, m, v, norm, tensor(adamw_rates(0.01, 0.9, 0.95, step)),
                       {.beta1 = 0.9f,
                        .beta2 = 0.95f,
                        .epsilon = 1e-8f,
                        .weight_decay = 0.1f,
                        .max_grad_norm = clip,
                        .decayed = decayed});
        const Values grad = values(g);
        for (int64_t i = 0; i < n; ++i) {
          const double gi = c * grad[i];
          em[i] = 0.9 * em[i] + 0.1 * gi;
          ev[i] = 0.95 * ev[i] + 0.05 * gi * gi;
          const double mh = em[i] / (1 - std::pow(0.9, step)), vh = ev[i] / (1 - std::pow(0.95, step));
          ep[i] -= 0.01 * (mh / (std::sqrt(vh) + 1e-8) + (i < decayed ? 0.1 : 0.0) * ep[i]);
        }
      }
      expect_close(values(p), ep, 1e-5, "parameters");
      expect_close(values(m), em, 1e-5, "first moment");
      expect_close(values(v), ev, 1e-5, "second moment");
    }
  }
}

// ---- Memory and graphs ----------------------------------------------------------------------------------

TEST_P(Operations, CopiesAndZeros) {
  const Tensor a = random({5, 1000003}), b = random({5, 1000003});  // more than one staging buffer
  device_->copy(b, a);
  EXPECT_TRUE(values(a) == values(b));
  device_->set_zero(b.rows(1, 2));
  const Values zeroed = values(b), before = values(a);
  for (const size_t i : {0u, 1000002u, 3 * 1000003u}) EXPECT_EQ(zeroed[i], before[i]);
  for (const size_t i : {1000003u, 3 * 1000003u - 1}) EXPECT_EQ(zeroed[i], 0.0);
}

TEST_P(Operations, ACapturedGraphReadsItsInputsWhenItIsReplayed) {
  const Tensor x = random({3, 4}), w = random({4, 5}), y = zeros({3, 5}), total = zeros({1});
  const Tensor counter = tensor(std::vector<int32_t>{41});
  const auto graph = device_->capture([&] {
    device_->linear(y, x, {w, {}}, Activation::kNone, {});
    device_->sum(total, y);
    device_->increment(counter);
  });
  EXPECT_EQ(values(y), Values(15, 0.0)) << "the operation ran during capture";
  for (int run = 1; run <= 3; ++run) {
    device_->copy_to_device(x, std::vector<float>(12, static_cast<float>(run)).data());
    graph->replay();
    const Values expected = reference::matmul(values(x), false, values(w), false, 3, 5, 4);
    expect_close(values(y), expected, kForward, "captured product");
    EXPECT_EQ(tokens(counter)[0], 41 + run);
  }
}

TEST_P(Operations, ACapturedGraphJoinsItsParallelParts) {
  const Tensor x = random({40, 30}), w = random({30, 20}), dy = random({40, 20});
  const Tensor dx = zeros({40, 30}), dw = zeros({30, 20}), db = zeros({20}), sum = zeros({1});
  const auto graph = device_->capture([&] {
    device_->set_zero(dw);
    device_->linear_backward(dx, {dw, db}, dy, x, {w, {}}, {}, {});
    device_->l2_norm(sum, dw);
  });
  for (int run = 0; run < 3; ++run) {
    graph->replay();
    double squares = 0;
    for (const double v : reference::matmul(values(x), true, values(dy), false, 30, 20, 40)) squares += v * v;
    EXPECT_NEAR(values(sum)[0], std::sqrt(squares), 1e-4);
    device_->copy(x, random({40, 30}));
  }
}

TEST_P(Operations, AllocatingTooMuchIsAnErrorThatSaysHowMuch) {
  try {
    Buffer buffer(*device_, size_t{1} << 50);
    FAIL() << "allocated a pebibyte";
  } catch (const std::exception& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("out of memory"), std::string::npos) << message;
    EXPECT_NE(message.find("1048576.0"), std::string::npos) << message;
    EXPECT_NE(message.find("GiB"), std::string::npos) << message;
  }
}

// ---- Sampling -------------------------------------------------------------------------------------------

class SamplingTest : public DeviceTest {
 protected:
  /// Counts how often each token is drawn from these logits, by draws 0, 1, ...
  std::map<int32_t, int> counts(const std::vector<float>& logits, const Sampling& options, int draws,
                                const std::vector<int32_t>& seen_tokens = {}) {
    const Tensor z = row(logits), token = zeros({1}, DType::kI32), draw = zeros({1, 2}, DType::kI32);
    std::vector<int32_t> marks(logits.size(), 0);
    for (const int32_t id : seen_tokens) marks[static_cast<size_t>(id)] = 1;
    const Tensor seen = tensor(marks).reshape({1, static_cast<int64_t>(marks.size())});
    std::map<int32_t, int> result;
    for (int i = 0; i < draws; ++i) {
      device_->sample(token, z, seen, draw, options);
      ++result[tokens(token)[0]];
    }
    EXPECT_EQ(tokens(draw), (std::vector<int32_t>{0, draws}));
    return result;
  }

  /// Returns the logits of one sequence, [1,V].
  Tensor row(const std::vector<float>& logits) {
    return tensor(logits).reshape({1, static_cast<int64_t>(logits.size())});
  }

  const std::vector<float> few_ = {1.0f, 3.0f, 2.0f, 3.0f, -1.0f};
};
INSTANTIATE_TEST_SUITE_P(Devices, SamplingTest, testing::ValuesIn(all_devices()), case_name);

TEST_P(SamplingTest, TemperatureZeroTakesTheFirstOfTheLikeliest) {
  EXPECT_EQ(counts(few_, {.temperature = 0.0}, 20), (std::map<int32_t, int>{{1, 20}}));
}

TEST_P(SamplingTest, MinusZeroIsZero) {
  EXPECT_EQ(counts({-1.0f, -0.0f, 0.0f}, {.temperature = 0.0}, 1).begin()->first, 1);
  EXPECT_EQ(counts({0.0f, -0.0f, -1.0f}, {.temperature = 0.0}, 1).begin()->first, 0);
}

TEST_P(SamplingTest, TopKKeepsExactlyK) {
  const std::vector<float> even = {0.1f, 0.3f, 0.2f, 0.3f, 0.0f};
  EXPECT_EQ(counts(even, {.top_k = 1}, 20).size(), 1u);
  EXPECT_EQ(counts(even, {.top_k = 2}, 40).size(), 2u);
  EXPECT_EQ(counts(even, {.top_k = 3}, 40).size(), 3u);
  EXPECT_EQ(counts(even, {.top_k = 0}, 60).size(), 5u);
  EXPECT_EQ(counts(even, {.top_k = 99}, 60).size(), 5u);
  const std::vector<float> equal(3000, 0.25f);  // of equal logits the smaller ids are first
  for (const auto& [id, count] : counts(equal, {.top_k = 7}, 40)) EXPECT_LT(id, 7);
}

#ifndef HIPGPT_EMULATED  // it draws what the CPU draws, but slowly
TEST_P(SamplingTest, FrequenciesMatchTheSoftmax) {
  const std::vector<size_t> all = {0, 1, 2, 3, 4};
  for (const auto& [temperature, top_p, head] :
       {std::tuple(0.7, 1.0, all), {2.0, 1.0, all}, {1.0, 0.9, std::vector<size_t>{1, 2, 3}}}) {
    const int draws = 1500;
    const auto drawn =
        counts(few_, {.top_k = 0, .top_p = top_p, .temperature = temperature, .seed = 3}, draws);
    double total = 0;
    for (const size_t i : head) total += std::exp(few_[i] / temperature);
    for (const size_t i : head) {
      const double p = std::exp(few_[i] / temperature) / total;
      const auto it = drawn.find(static_cast<int32_t>(i));
      const double measured = it == drawn.end() ? 0.0 : it->second / static_cast<double>(draws);
      EXPECT_NEAR(measured, p, 5 * std::sqrt(p * (1 - p) / draws)) << i;
    }
  }
}
#endif

TEST_P(SamplingTest, TopPKeepsTheSmallestHeadThatReachesP) {
  // Softmax: 0.391 (1), 0.391 (3), 0.144 (2), 0.053 (0), 0.007 (4).
  EXPECT_EQ(counts(few_, {.top_k = 0, .top_p = 0.3}, 40).size(), 1u);
  EXPECT_EQ(counts(few_, {.top_k = 0, .top_p = 0.5}, 40).size(), 2u);
  EXPECT_EQ(counts(few_, {.top_k = 0, .top_p = 0.9}, 80).size(), 3u);
  EXPECT_EQ(counts(few_, {.top_k = 0, .top_p = 1e-9}, 40).size(), 1u);
}

TEST_P(SamplingTest, RepetitionPenaltyLowersBothSigns) {
  EXPECT_EQ(counts(few_, {.temperature = 0.0, .repetition_penalty = 2.0}, 1, {1, 3}).begin()->first, 2);
  EXPECT_EQ(counts(few_, {.temperature = 0.0, .repetition_penalty = 1.1}, 1, {1, 3}).begin()->first, 1);
  EXPECT_EQ(counts({-1.0f, -2.0f}, {.temperature = 0.0, .repetition_penalty = 3.0}, 1, {0}).begin()->first,
            1);
}

TEST_P(SamplingTest, MarksTheTokenAndRefusesWhatIsNotFinite) {
  const Tensor token = zeros({1}, DType::kI32), seen = zeros({1, 5}, DType::kI32),
               draw = zeros({1, 2}, DType::kI32);
  device_->sample(token, row(few_), seen, draw, {.top_k = 1});
  EXPECT_EQ(tokens(seen), (std::vector<int32_t>{0, 1, 0, 0, 0}));
  for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    std::vector<float> logits = few_;
    logits[4] = bad;
    device_->sample(token, row(logits), seen, draw, {.top_k = 1});
    EXPECT_EQ(tokens(token)[0], -1);
    EXPECT_EQ(tokens(draw), (std::vector<int32_t>{0, 1}));
  }
}

/// Sequences that are sampled together give the tokens of each one alone, from its own stream and draw
/// number.
TEST_P(SamplingTest, SequencesAreDrawnIndependently) {
  const int64_t B = 4, V = 300;
  const Sampling options{.top_k = 0, .top_p = 0.95, .repetition_penalty = 1.5, .seed = 11};
  const std::vector<int32_t> draws = {0, 0, 1, 0, 7, 2, 2, 9};
  const Tensor z = random({B, V}), seen = zeros({B, V}, DType::kI32), alone_seen = zeros({B, V}, DType::kI32);
  const Tensor token = zeros({B}, DType::kI32), draw = tensor(draws).reshape({B, 2});
  std::vector<float> broken(static_cast<size_t>(V), 0.0f);
  broken.back() = std::nanf("");
  device_->copy_to_device(z.rows(2, 1), broken.data());
  const Tensor alone_token = zeros({B}, DType::kI32), alone_draw = tensor(draws).reshape({B, 2});
  for (int step = 0; step < 3; ++step) {
    device_->sample(token, z, seen, draw, options);
    for (int64_t b = 0; b < B; ++b) {
      device_->sample(alone_token.rows(b, 1), z.rows(b, 1), alone_seen.rows(b, 1), alone_draw.rows(b, 1),
                      options);
    }
    ASSERT_EQ(tokens(token), tokens(alone_token)) << step;
    EXPECT_EQ(tokens(token)[2], -1);
  }
  EXPECT_EQ(tokens(seen), tokens(alone_seen));
  EXPECT_EQ(tokens(draw), (std::vector<int32_t>{0, 3, 1, 3, 7, 2, 2, 12}));
}

TEST_P(SamplingTest, StreamsAreDifferent) {
  const int64_t B = 6, V = 500;
  const Tensor z = zeros({B, V}), seen = zeros({B, V}, DType::kI32), token = zeros({B}, DType::kI32);
  const Tensor draw = tensor(std::vector<int32_t>{0, 0, 1, 0, 2, 0, 3, 0, 0, 1, 1, 1}).reshape({B, 2});
  device_->sample(token, z, seen, draw, {.top_k = 0, .seed = 1});
  std::vector<int32_t> drawn = tokens(token);
  std::sort(drawn.begin(), drawn.end());
  EXPECT_EQ(std::unique(drawn.begin(), drawn.end()), drawn.end());
}

/// Every device draws the tokens that the CPU draws.
TEST_P(SamplingTest, DrawsMatchTheCpu) {
  const auto cpu = make_device("cpu", 1);
  for (const int vocab : {2, 65, 1000, 5003}) {
    for (const Sampling& options :
         {Sampling{.top_k = 5, .seed = 1}, Sampling{.top_k = 50, .temperature = 0.8, .seed = 2},
          Sampling{.top_k = 0, .top_p = 0.9, .repetition_penalty = 1.3, .seed = 3},
          Sampling{.top_k = 300, .top_p = 0.7, .temperature = 1.5, .seed = 4}}) {
      std::vector<float> logits(static_cast<size_t>(vocab));
      std::vector<int32_t> cpu_seen(logits.size(), 0);
      int32_t cpu_token = 0, cpu_draw[2] = {3, 0};
      const Tensor seen = tensor(cpu_seen).reshape({1, vocab}), token = zeros({1}, DType::kI32);
      const Tensor draw = tensor(std::vector<int32_t>{3, 0}).reshape({1, 2});
      for (int i = 0; i < 12; ++i) {
        for (float& z : logits) z = std::normal_distribution<float>(0, 2)(generator_);
        cpu->sample(Tensor(&cpu_token, {1}, DType::kI32), Tensor(logits.data(), {1, vocab}),
                    Tensor(cpu_seen.data(), {1, vocab}, DType::kI32), Tensor(cpu_draw, {1, 2}, DType::kI32),
                    options);
        device_->sample(token, row(logits), seen, draw, options);
        ASSERT_EQ(tokens(token)[0], cpu_token) << "V=" << vocab << ", draw " << i;
      }
    }
  }
}

#ifndef HIPGPT_EMULATED
/// Runs the same operation on the same input, on devices that differ only in their number of threads.
TEST(Threads, NeverChangeABit) {
  const auto run = [](int threads) {
    const auto device = make_device("cpu", threads);
    std::mt19937 generator(1);
    const auto filled = [&](size_t n) {
      std::vector<float> v(n);
      for (float& x : v) x = std::uniform_real_distribution<float>(-1, 1)(generator);
      return v;
    };
    std::vector<float> x = filled(257 * 384), w = filled(384 * 1031), y(257 * 1031), s(1);
    std::vector<float> dx(x.size()), dw(w.size()), db(1031);
    const Tensor tx(x.data(), {257, 384}), tw(w.data(), {384, 1031}), ty(y.data(), {257, 1031});
    device->linear(ty, tx, {tw, {}}, Activation::kNone, {});
    device->linear_backward(Tensor(dx.data(), {257, 384}),
                            {Tensor(dw.data(), {384, 1031}), Tensor(db.data(), {1031})}, ty, tx, {tw, {}}, tx,
                            {});
    device->l2_norm(Tensor(s.data(), {1}), Tensor(y.data(), {257 * 1031}));
    for (const auto* more : {&s, &dx, &dw, &db}) y.insert(y.end(), more->begin(), more->end());
    return y;
  };
  const auto one = run(1);
  for (const int threads : {2, 3, 7}) EXPECT_TRUE(one == run(threads)) << threads << " threads";
}
#endif

}  // namespace
}  // namespace hipgpt
