// Every operation of every device against its formula in double precision, and every backward operation
// against central differences of that formula. Shapes are one, prime, powers of two, and larger than one tile
// or block.
#include "device_fixture.h"
#include "philox.h"

namespace hipgpt {
namespace {

using reference::Values;
using Op = Device::Op;

constexpr double kForward = 2e-6;  // of the largest value: a few roundings of fp32
constexpr double kGradient = 1e-4;

class Operations : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, Operations, all_devices());

struct Size {
  int64_t m, n, k;
};

TEST_P(Operations, MatmulInEveryOrientation) {
  for (const Size s : {Size{1, 1, 1},
                       {1, 7, 5},
                       {2, 3, 5},
                       {17, 1, 13},
                       {64, 64, 64},
                       {129, 67, 31},
                       {1, 600, 70},
                       {600, 33, 9},
                       {70, 1100, 40}}) {
    for (const Op op_a : {Op::kNone, Op::kTranspose}) {
      for (const Op op_b : {Op::kNone, Op::kTranspose}) {
        const bool ta = op_a == Op::kTranspose, tb = op_b == Op::kTranspose;
        const Tensor a = ta ? random({s.k, s.m}) : random({s.m, s.k});
        const Tensor b = tb ? random({s.n, s.k}) : random({s.k, s.n});
        const Tensor c = random({s.m, s.n});
        Values expected = reference::matmul(values(a), ta, values(b), tb, s.m, s.n, s.k);
        const Values before = values(c);
        device_->matmul(c, a, op_a, b, op_b, false);
        expect_close(values(c), expected, kForward, fmt_size("matmul", s.m, s.n, s.k));
        device_->matmul(c, a, op_a, b, op_b, true);
        for (double& v : expected) v *= 2;
        expect_close(values(c), expected, kForward, fmt_size("matmul accumulate", s.m, s.n, s.k));
      }
    }
  }
}

TEST_P(Operations, LinearWithBiasAndActivation) {
  for (const Size s : {Size{1, 5, 3}, {7, 13, 11}, {65, 600, 17}}) {
    for (const Activation act : {Activation::kNone, Activation::kRelu, Activation::kGelu}) {
      for (const bool transposed : {false, true}) {
        const Tensor x = random({s.m, s.k}), w = transposed ? random({s.n, s.k}) : random({s.k, s.n});
        const Tensor b = random({s.n}), y = zeros({s.m, s.n}), pre = zeros({s.m, s.n});
        const Values z = reference::linear(values(x), values(w), transposed, values(b), s.m, s.k, s.n);
        Values expected = z;
        for (double& v : expected) v = reference::activation(act, v);
        const Op op = transposed ? Op::kTranspose : Op::kNone;
        device_->linear(y, x, w, op, b, act, pre);
        expect_close(values(y), expected, kForward, fmt_size("linear", s.m, s.n, s.k));
        expect_close(values(pre), z, kForward, fmt_size("linear pre", s.m, s.n, s.k));
        device_->set_zero(y);
        device_->linear(y, x, w, op, b, act, {});
        expect_close(values(y), expected, kForward, fmt_size("linear without pre", s.m, s.n, s.k));
        device_->linear(y, x, w, op, {}, Activation::kNone, {});
        expect_close(values(y), reference::linear(values(x), values(w), transposed, {}, s.m, s.k, s.n),
                     kForward, "linear without bias");
      }
    }
  }
}

TEST_P(Operations, LinearBackward) {
  const int64_t rows = 5, in = 7, out = 3;
  const Tensor x = random({rows, in}), w = random({in, out}), dy = random({rows, out});
  const Tensor dx = zeros({rows, in}), dw = zeros({in, out}), db = zeros({out});
  device_->matmul(dx, dy, Op::kNone, w, Op::kTranspose, false);
  device_->matmul(dw, x, Op::kTranspose, dy, Op::kNone, true);
  device_->bias_backward(db, dy);
  const Values vx = values(x), vw = values(w), vb(out, 0.25), weights = values(dy);
  const auto loss = [&](const Values& a, const Values& b, const Values& c) {
    return reference::dot(weights, reference::linear(a, b, false, c, rows, in, out));
  };
  expect_close(values(dx),
               reference::central_differences([&](const Values& v) { return loss(v, vw, vb); }, vx),
               kGradient, "dx");
  expect_close(values(dw),
               reference::central_differences([&](const Values& v) { return loss(vx, v, vb); }, vw),
               kGradient, "dw");
  expect_close(values(db),
               reference::central_differences([&](const Values& v) { return loss(vx, vw, v); }, vb),
               kGradient, "db");
}

TEST_P(Operations, BiasBackwardAddsColumnSums) {
  for (const Size s : {Size{1, 1, 0}, {3, 67, 0}, {129, 130, 0}}) {
    const Tensor dy = random({s.m, s.n}), db = random({s.n});
    Values expected = values(db);
    const Values v = values(dy);
    for (int64_t i = 0; i < s.m * s.n; ++i) expected[i % s.n] += v[i];
    device_->bias_backward(db, dy);
    expect_close(values(db), expected, kForward, "db");
  }
}

TEST_P(Operations, ActivationBackward) {
  for (const Activation act : {Activation::kNone, Activation::kRelu, Activation::kGelu}) {
    for (const int64_t n : {1, 13, 9001}) {
      const Tensor pre = random({n}), dy = random({n}), dx = zeros({n});
      device_->activation_backward(dx, dy, pre, act);
      Values expected = values(dy);
      const Values x = values(pre);
      for (size_t i = 0; i < expected.size(); ++i) {
        expected[i] *=
            (reference::activation(act, x[i] + 1e-6) - reference::activation(act, x[i] - 1e-6)) / 2e-6;
      }
      expect_close(values(dx), expected, kGradient, "activation backward");
      device_->activation_backward(dy, dy, pre, act);
      expect_close(values(dy), expected, kGradient, "activation backward in place");
    }
  }
}

TEST_P(Operations, ActivationsAreExactAtTheirEnds) {
  const Tensor x = zeros({1, 6}), w = zeros({6, 6}), y = zeros({1, 6});
  const std::vector<float> ends = {-100.0f, -5.0f, -1e-4f, 0.0f, 5.0f, 100.0f};
  std::vector<float> identity(36, 0.0f);
  for (int i = 0; i < 6; ++i) identity[7 * i] = 1.0f;
  device_->copy_to_device(x, ends.data());
  device_->copy_to_device(w, identity.data());
  device_->linear(y, x, w, Op::kNone, {}, Activation::kGelu, {});
  const Values actual = values(y);
  for (size_t i = 0; i < ends.size(); ++i) {
    EXPECT_NEAR(actual[i], reference::activation(Activation::kGelu, ends[i]),
                1e-6 + 1e-6 * std::abs(ends[i]));
  }
}

TEST_P(Operations, Embedding) {
  for (const int64_t E : {1, 5, 128}) {
    const int64_t B = 3, T = 4, V = 7, S = 9, first = 5;
    const Tensor wte = random({V, E}), wpe = random({S, E}), ids = random_tokens({B, T}, V),
                 y = zeros({B * T, E});
    device_->embedding(y, ids, wte, wpe, first);
    const Values a = values(wte), b = values(wpe);
    const auto id = tokens(ids);
    Values expected(B * T * E);
    for (int64_t i = 0; i < B * T; ++i) {
      for (int64_t e = 0; e < E; ++e) expected[i * E + e] = a[id[i] * E + e] + b[(first + i % T) * E + e];
    }
    expect_close(values(y), expected, kForward, "embedding");
  }
}

TEST_P(Operations, EmbeddingBackwardAddsUpRepeatedTokens) {
  for (const int64_t E : {1, 5, 128}) {
    const int64_t B = 6, T = 5, V = 4, S = 8;  // more tokens than vocabulary: every one repeats
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
    device_->layernorm(y, mean, rstd, x, w, b);
    const Values vx = values(x), vw = values(w), vb = values(b);
    expect_close(values(y), reference::layernorm(vx, vw, vb), 2e-5, fmt_size("layernorm", rows, E));
    if (rows * E > 200) continue;

    const Tensor dy = random({rows, E}), dx = zeros({rows, E}), dw = zeros({E}), db = zeros({E});
    device_->layernorm_backward(dx, dw, db, dy, x, w, mean, rstd);
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

TEST_P(Operations, LayerNormBackwardAddsToWhatIsThere) {
  const int64_t rows = 4, E = 6;
  const Tensor x = random({rows, E}), w = random({E}), b = random({E}), y = zeros({rows, E}),
               dy = random({rows, E});
  const Tensor mean = zeros({rows}), rstd = zeros({rows});
  device_->layernorm(y, mean, rstd, x, w, b);
  const Tensor dx = zeros({rows, E}), dw = zeros({E}), db = zeros({E});
  device_->layernorm_backward(dx, dw, db, dy, x, w, mean, rstd);
  Values twice = values(dx);
  for (double& v : twice) v *= 2;
  device_->layernorm_backward(dx, dw, db, dy, x, w, mean, rstd);
  expect_close(values(dx), twice, kForward, "dx");
}

struct AttentionSize {
  int64_t B, T, H, D;
};

TEST_P(Operations, Attention) {
  for (const AttentionSize s :
       {AttentionSize{1, 1, 1, 1}, {2, 5, 3, 4}, {1, 64, 2, 8}, {2, 65, 1, 16}, {1, 131, 2, 7}}) {
    const int64_t E = s.H * s.D;
    const Tensor qkv = random({s.B, s.T, 3 * E}), out = zeros({s.B, s.T, E}), lse = zeros({s.B, s.H, s.T});
    device_->attention(out, lse, qkv, static_cast<int>(s.H), {});
    expect_close(values(out), reference::attention(values(qkv), s.B, s.T, s.H, E), 5e-6,
                 fmt_size("attention", s.B, s.T, s.H));
  }
}

/// The factors that a device's dropout applies to row r, read off an operation that only applies them.
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
    for (const AttentionSize s : {AttentionSize{1, 1, 1, 2}, {2, 5, 2, 3}, {1, 67, 1, 2}}) {
      const int64_t E = s.H * s.D;
      const Dropout dropout{.p = p, .seed = 7, .step = 3, .site = 2};
      const Tensor qkv = random({s.B, s.T, 3 * E}), out = zeros({s.B, s.T, E}), lse = zeros({s.B, s.H, s.T});
      const Tensor dout = random({s.B, s.T, E}), dqkv = random({s.B, s.T, 3 * E});
      device_->attention(out, lse, qkv, static_cast<int>(s.H), dropout);
      device_->attention_backward(dqkv, dout, qkv, out, lse, static_cast<int>(s.H), dropout);

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
  const Tensor keys = zeros({T + 3, E}), cache_values = zeros({T + 3, E}), cached = zeros({T, E});
  const Tensor rows = qkv.reshape({T, 3 * E});
  int64_t past = 0;
  for (const int64_t count : {70, 1, 1, 17, 1}) {
    device_->attention_cached(cached.rows(past, count), keys, cache_values, rows.rows(past, count),
                              static_cast<int>(H), past);
    past += count;
  }
  ASSERT_EQ(past, T);
  expect_close(values(cached), values(out), 5e-6, "cached attention");
}

TEST_P(Operations, DropoutKeepsTheRightShareAndScalesIt) {
  const int64_t rows = 200, E = 250;
  const Dropout dropout{.p = 0.2f, .seed = 5, .step = 1, .site = 4};
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
  for (const Dropout& other : {Dropout{0.2f, 6, 1, 4}, Dropout{0.2f, 5, 2, 4}, Dropout{0.2f, 5, 1, 5}}) {
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
  const Dropout dropout{.p = 0.5f, .seed = 1, .step = 2, .site = 3};
  const Values factors = dropout_row(*device_, 33, 129, dropout);
  device_->dropout_backward(y, branch, dropout);
  Values masked = b;
  for (size_t i = 0; i < masked.size(); ++i) masked[i] *= factors[i];
  expect_close(values(y), masked, kForward, "dropout backward");
}

TEST_P(Operations, CrossEntropyAndItsGradient) {
  for (const auto& [rows, V] : {std::pair<int64_t, int64_t>{1, 1}, {1, 2}, {5, 7}, {3, 67}, {40, 5000}}) {
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
    device_->norm(out, x);
    EXPECT_NEAR(values(out)[0], std::sqrt(squares), 1e-6 * std::sqrt(squares));
  }
}

TEST_P(Operations, AdamW) {
  for (const int64_t n : {1, 20001}) {
    for (const float clip : {0.0f, 1.0f}) {
      const Tensor p = random({n}), g = random({n}), m = zeros({n}), v = zeros({n}), norm = zeros({1});
      Values ep = values(p), em(n, 0.0), ev(n, 0.0);
      const int64_t decayed = n / 2;
      for (int64_t step = 1; step <= 3; ++step) {
        device_->norm(norm, g);
        const double c = clip > 0 ? std::min(1.0, clip / values(norm)[0]) : 1.0;
        device_->adamw(p, g, m, v, norm,
                       {.learning_rate = 0.01f,
                        .beta1 = 0.9f,
                        .beta2 = 0.95f,
                        .epsilon = 1e-8f,
                        .weight_decay = 0.1f,
                        .max_grad_norm = clip,
                        .decayed = decayed,
                        .step = step});
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

/// The same operation on the same input, by devices that differ in their number of threads alone.
TEST(Threads, NeverChangeABit) {
  const auto run = [](int threads) {
    const auto device = make_device("cpu", threads);
    std::mt19937 generator(1);
    const auto filled = [&](size_t n) {
      std::vector<float> v(n);
      for (float& x : v) x = std::uniform_real_distribution<float>(-1, 1)(generator);
      return v;
    };
    std::vector<float> a = filled(257 * 384), b = filled(384 * 1031), c(257 * 1031), s(1);
    device->matmul(Tensor(c.data(), {257, 1031}), Tensor(a.data(), {257, 384}), Op::kNone,
                   Tensor(b.data(), {384, 1031}), Op::kNone, false);
    device->norm(Tensor(s.data(), {1}), Tensor(c.data(), {257 * 1031}));
    std::vector<float> db(1031, 0.0f);
    device->bias_backward(Tensor(db.data(), {1031}), Tensor(c.data(), {257, 1031}));
    c.insert(c.end(), s.begin(), s.end());
    c.insert(c.end(), db.begin(), db.end());
    return c;
  };
  const auto one = run(1);
  for (const int threads : {2, 3, 7}) EXPECT_EQ(one, run(threads)) << threads << " threads";
}

}  // namespace
}  // namespace hipgpt
