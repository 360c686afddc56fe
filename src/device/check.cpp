#include "device/check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <limits>
#include <string>

#include "error.h"
#include "util/number_text.h"

namespace hipgpt::check {

namespace {

/// Kernels count rows and columns in int.
constexpr int64_t kLargest = std::numeric_limits<int>::max();

/// The type of the other operands of an operation that computes in fp32 or in bf16, by one of them.
DType float_type(const Tensor& t) {
  return t.dtype() == DType::kBF16 ? DType::kBF16 : DType::kF32;
}

/// The same rows without the gaps between them, to compare shapes.
Tensor without_pitch(const Tensor& t) {
  return Tensor(t.data(), {t.dim(0), t.dim(1)}, t.dtype());
}

/// The arguments of one call of an operation. Each check throws Error unless the condition in its name holds.
class Arguments {
 public:
  explicit Arguments(const char* operation) : operation_(operation) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(fmt::format("{}: {}", operation_, what));
  }

  /// The tensor is present, contiguous, and has this dtype and shape.
  void is(const char* name, const Tensor& t, std::initializer_list<int64_t> shape,
          DType dtype = DType::kF32) const {
    bool fits = t && t.contiguous() && t.dtype() == dtype && t.rank() == static_cast<int>(shape.size());
    for (int i = 0; fits && i < t.rank(); ++i) fits = t.dim(i) == shape.begin()[i];
    if (fits) return;
    fail(fmt::format("{} is {}, but must be {} [{}]", name, to_string(t), to_string(dtype),
                     fmt::join(shape, ",")));
  }

  /// The same for an argument that may be none.
  void is_or_none(const char* name, const Tensor& t, std::initializer_list<int64_t> shape,
                  DType dtype = DType::kF32) const {
    if (t || t.rank() > 0) is(name, t, shape, dtype);
  }

  /// The tensor is a matrix of this dtype with sizes of at least 1, named by `letters`. Its rows may have a
  /// pitch.
  void is_matrix(const char* name, const Tensor& t, const char* letters, DType dtype) const {
    has_rank(name, t && t.rank() == 2 ? without_pitch(t) : t, 2, letters, dtype);
  }

  /// The tensor is a matrix of this dtype and shape. Its rows may have a pitch.
  void has_rows(const char* name, const Tensor& t, int64_t rows, int64_t width, DType dtype) const {
    is(name, t && t.rank() == 2 && t.pitch() <= kLargest ? without_pitch(t) : t, {rows, width}, dtype);
  }

  /// The tensor is present, contiguous, and has this dtype and `rank` dimensions of at least 1, named by
  /// `letters`.
  void has_rank(const char* name, const Tensor& t, int rank, const char* letters,
                DType dtype = DType::kF32) const {
    bool fits = t && t.contiguous() && t.dtype() == dtype && t.rank() == rank;
    for (int i = 0; fits && i < rank; ++i) fits = t.dim(i) >= 1 && t.dim(i) <= kLargest;
    if (!fits)
      fail(fmt::format("{} is {}, but must be {} {}", name, to_string(t), to_string(dtype), letters));
  }

  /// The tensor is present, contiguous, fp32 and not empty; any shape is valid.
  void has_elements(const char* name, const Tensor& t) const {
    if (!t || !t.contiguous() || t.dtype() != DType::kF32 || t.size() < 1) {
      fail(fmt::format("{} is {}, but must be f32 with at least one element", name, to_string(t)));
    }
  }

  void drops(const Dropout& d) const {
    if (!(d.p >= 0.0f && d.p < 1.0f)) {
      fail(fmt::format("dropout.p is {:g}, but must be from 0 to less than 1", d.p));
    }
    if (d.p > 0.0f) is("dropout.micro_step", d.micro_step, {1}, DType::kI32);
  }

  void has_heads(int heads, int64_t width) const {
    if (heads < 1 || width % heads != 0) {
      fail(fmt::format("heads is {}, but must divide the width of {}", heads, width));
    }
  }

  /// The shapes of W and b fit a map from `in` to `out` columns.
  void is_linear(const char* weight, const char* bias, const Linear& layer, int64_t in, int64_t out,
                 DType dtype) const {
    if (layer.layout == Layout::kInOut) {
      is(weight, layer.weight, {in, out}, dtype);
    } else {
      is(weight, layer.weight, {out, in}, dtype);
    }
    is_or_none(bias, layer.bias, {out});
  }

  /// The type in which the weight of a layer may be stored beside activations of `dtype`.
  static DType weight_type(const Linear& layer, DType dtype) {
    const bool narrow = layer.weight.dtype() == DType::kInt8 && layer.layout == Layout::kOutIn;
    return narrow && dtype == DType::kBF16 ? DType::kInt8 : dtype;
  }

  /// The same for the scale and shift of rows of `width` columns.
  void is_norm(const char* weight, const char* bias, const Norm& norm, int64_t width) const {
    is(weight, norm.weight, {width});
    is(bias, norm.bias, {width});
  }

  void has_stats(const NormStats& stats, int64_t rows) const {
    is("stats.mean", stats.mean, {rows});
    is("stats.rstd", stats.rstd, {rows});
  }

 private:
  const char* operation_;
};

/// A table of tokens and one of positions, with one row of `rows` per token. The names are those of the
/// tables and of `rows`.
void embedded(const Arguments& a, const Tensor& tokens, std::array<const char*, 3> names, const Tensor& wte,
              const Tensor& wpe, const Tensor& rows, std::array<DType, 2> tables, DType row) {
  a.has_rank("tokens", tokens, 2, "[B,T]", DType::kI32);
  a.has_rank(names[0], wte, 2, "[V,E]", tables[0]);
  a.has_rank(names[1], wpe, 2, "[S,E]", tables[1]);
  a.is(names[1], wpe, {wpe.dim(0), wte.dim(1)}, tables[1]);
  a.is(names[2], rows, {tokens.size(), wte.dim(1)}, row);
  if (tokens.dim(1) > wpe.dim(0)) {
    a.fail(fmt::format("tokens is {}, but {} has only {}", to_string(tokens), names[1],
                       counted(wpe.dim(0), "position")));
  }
}

void losses_of_logits(const Arguments& a, const Tensor& losses, const Tensor& logits, const Tensor& targets) {
  const DType dtype = float_type(logits);
  a.is_matrix("logits", logits, "[R,V]", dtype);
  a.has_rows("logits", logits, logits.dim(0), logits.dim(1), dtype);
  a.is("losses", losses, {logits.dim(0)});
  a.is("targets", targets, {logits.dim(0)}, DType::kI32);
}

void total_of(const Arguments& a, const Tensor& out, const Tensor& x) {
  a.is("out", out, {1});
  a.has_elements("x", x);
}

}  // namespace

void linear(Tensor y, Tensor x, const Linear& layer, Activation, Tensor slope) {
  const Arguments a("linear");
  const DType dtype = float_type(x);
  const DType result = y.dtype() == DType::kF32 ? DType::kF32 : dtype;
  a.has_rank("x", x, 2, "[R,in]", dtype);
  a.is_matrix("y", y, "[R,out]", result);
  const int64_t R = x.dim(0), in = x.dim(1), out = y.dim(1);
  a.has_rows("y", y, R, out, result);
  a.is_linear("layer.weight", "layer.bias", layer, in, out, Arguments::weight_type(layer, dtype));
  if (slope || slope.rank() > 0) {
    a.has_rows("slope", slope, R, out, result);
    if (slope.pitch() != y.pitch())
      a.fail(fmt::format("slope has a pitch of {}, but y of {}", slope.pitch(), y.pitch()));
  }
}

void fused_linear(Tensor y, Tensor residual, Tensor x, bool, const Linear& layer, Activation) {
  const Arguments a("fused_linear");
  const DType dtype = float_type(x);
  a.has_rank("x", x, 2, "[R,in]", dtype);
  const DType result = y.dtype() == DType::kF32 ? DType::kF32 : dtype;
  a.has_rank("y", y, 2, "[R,out]", result);
  const int64_t R = x.dim(0), in = x.dim(1), out = y.dim(1);
  a.is("y", y, {R, out}, result);
  a.is_or_none("residual", residual, {R, out}, result);
  a.is_linear("layer.weight", "layer.bias", layer, in, out, Arguments::weight_type(layer, dtype));
}

void linear_backward(Tensor dx, const Linear& gradients, Tensor dy, Tensor x, const Linear& layer,
                     Tensor slope, Tensor dx_sums) {
  const Arguments a("linear_backward");
  const DType dtype = float_type(x);
  a.has_rank("x", x, 2, "[R,in]", dtype);
  a.is_matrix("dy", dy, "[R,out]", dtype);
  const int64_t R = x.dim(0), in = x.dim(1), out = dy.dim(1);
  a.has_rows("dy", dy, R, out, dtype);
  a.is("dx", dx, {R, in}, dtype);
  a.is_linear("layer.weight", "layer.bias", layer, in, out, dtype);
  a.is_linear("gradients.weight", "gradients.bias", gradients, in, out, DType::kF32);
  if (gradients.layout != layer.layout) a.fail("gradients.layout and layer.layout differ");
  a.is_or_none("slope", slope, {R, in}, dtype);
  a.is_or_none("dx_sums", dx_sums, {in});
}

void embedding(Tensor y, Tensor tokens, Tensor wte, Tensor wpe, Tensor first_position) {
  const Arguments a("embedding");
  const DType dtype = float_type(y);
  const bool narrow = wte.dtype() == DType::kInt8 && dtype == DType::kBF16;
  embedded(a, tokens, {"wte", "wpe", "y"}, wte, wpe, y, {narrow ? DType::kInt8 : dtype, dtype}, dtype);
  a.is_or_none("first_position", first_position, {1}, DType::kI32);
}

void embedding_backward(Tensor dwte, Tensor dwpe, Tensor dy, Tensor tokens) {
  embedded(Arguments("embedding_backward"), tokens, {"dwte", "dwpe", "dy"}, dwte, dwpe, dy,
           {DType::kF32, DType::kF32}, float_type(dy));
}

void layernorm(Tensor y, const NormStats& stats, Tensor x, const Norm& norm) {
  const Arguments a("layernorm");
  const DType dtype = float_type(x);
  a.has_rank("x", x, 2, "[R,E]", dtype);
  const int64_t R = x.dim(0), E = x.dim(1);
  a.is("y", y, {R, E}, dtype);
  a.has_stats(stats, R);
  a.is_norm("norm.weight", "norm.bias", norm, E);
}

void residual_layernorm(Tensor sum, Tensor y, const NormStats& stats, Tensor x, Tensor branch,
                        const Dropout& dropout, const Norm& norm) {
  const Arguments a("residual_layernorm");
  const DType dtype = float_type(x);
  a.has_rank("x", x, 2, "[R,E]", dtype);
  const int64_t R = x.dim(0), E = x.dim(1);
  a.is("sum", sum, {R, E}, dtype);
  a.is("y", y, {R, E}, dtype);
  a.is("branch", branch, {R, E}, dtype);
  a.has_stats(stats, R);
  a.is_norm("norm.weight", "norm.bias", norm, E);
  a.drops(dropout);
}

void layernorm_backward(Tensor dx, const Norm& gradients, Tensor dy, Tensor x, const Norm& norm,
                        const NormStats& stats, Tensor dx_sums) {
  const Arguments a("layernorm_backward");
  const DType dtype = float_type(x);
  a.has_rank("x", x, 2, "[R,E]", dtype);
  const int64_t R = x.dim(0), E = x.dim(1);
  a.is("dx", dx, {R, E}, dtype);
  a.is("dy", dy, {R, E}, dtype);
  a.is_norm("gradients.weight", "gradients.bias", gradients, E);
  a.is("norm.weight", norm.weight, {E});
  a.has_stats(stats, R);
  a.is_or_none("dx_sums", dx_sums, {E});
}

void attention(Tensor out, Tensor lse, Tensor qkv, int heads, const Dropout& dropout) {
  const Arguments a("attention");
  const DType dtype = float_type(out);
  a.has_rank("out", out, 3, "[B,T,E]", dtype);
  const int64_t B = out.dim(0), T = out.dim(1), E = out.dim(2);
  a.has_heads(heads, E);
  a.is("qkv", qkv, {B, T, 3 * E}, dtype);
  a.is("lse", lse, {B, heads, T});
  a.drops(dropout);
}

void attention_backward(Tensor dqkv, Tensor dout, Tensor qkv, Tensor out, Tensor lse, int heads,
                        const Dropout& dropout, Tensor dqkv_sums) {
  const Arguments a("attention_backward");
  const DType dtype = float_type(out);
  a.has_rank("out", out, 3, "[B,T,E]", dtype);
  const int64_t B = out.dim(0), T = out.dim(1), E = out.dim(2);
  a.has_heads(heads, E);
  a.is("dout", dout, {B, T, E}, dtype);
  a.is("qkv", qkv, {B, T, 3 * E}, dtype);
  a.is("dqkv", dqkv, {B, T, 3 * E}, dtype);
  a.is("lse", lse, {B, heads, T});
  a.is_or_none("dqkv_sums", dqkv_sums, {3 * E});
  a.drops(dropout);
}

void attention_cached(Tensor out, Tensor keys, Tensor values, Tensor qkv, int heads, Tensor past) {
  const Arguments a("attention_cached");
  const DType dtype = float_type(out);
  a.has_rank("out", out, 3, "[B,T,E]", dtype);
  a.has_rank("keys", keys, 3, "[B,S,E]", dtype);
  const int64_t B = out.dim(0), T = out.dim(1), E = out.dim(2), S = keys.dim(1);
  a.has_heads(heads, E);
  a.is("keys", keys, {B, S, E}, dtype);
  a.is("values", values, {B, S, E}, dtype);
  a.is("qkv", qkv, {B, T, 3 * E}, dtype);
  a.is("past", past, {1}, DType::kI32);
  if (T > S) a.fail(fmt::format("qkv is {}, but the caches have only {}", to_string(qkv), counted(S, "row")));
}

void add_dropout(Tensor y, Tensor x, Tensor branch, const Dropout& dropout) {
  const Arguments a("add_dropout");
  const DType dtype = float_type(branch);
  a.has_rank("branch", branch, 2, "[R,E]", dtype);
  a.is("y", y, {branch.dim(0), branch.dim(1)}, dtype);
  a.is_or_none("x", x, {branch.dim(0), branch.dim(1)}, dtype);
  a.drops(dropout);
}

void cross_entropy(Tensor losses, Tensor logits, Tensor targets) {
  losses_of_logits(Arguments("cross_entropy"), losses, logits, targets);
}

void cross_entropy_with_gradient(Tensor losses, Tensor logits, Tensor targets, float) {
  losses_of_logits(Arguments("cross_entropy_with_gradient"), losses, logits, targets);
}

void round_to_bf16(Tensor out, Tensor x) {
  const Arguments a("round_to_bf16");
  a.has_elements("x", x);
  a.has_rank("x", x, 1, "[n]");
  a.is("out", out, {x.size()}, DType::kBF16);
}

void sum(Tensor out, Tensor x) {
  total_of(Arguments("sum"), out, x);
}

void l2_norm(Tensor out, Tensor x) {
  total_of(Arguments("l2_norm"), out, x);
}

void adamw(Tensor params, Tensor rounded, Tensor grads, Tensor m, Tensor v, Tensor grad_norm, Tensor rates,
           const AdamW& options) {
  const Arguments a("adamw");
  a.has_elements("params", params);
  const int64_t n = params.size();
  a.is("params", params, {n});
  if (rounded || rounded.rank() > 0) {
    a.has_rank("rounded", rounded, 1, "[at most n]", DType::kBF16);
    if (rounded.size() > n) {
      a.fail(fmt::format("rounded is {}, but there are only {} parameters", to_string(rounded), n));
    }
  }
  a.is("grads", grads, {n});
  a.is("m", m, {n});
  a.is("v", v, {n});
  a.is("grad_norm", grad_norm, {1});
  a.is("rates", rates, {3});
  if (options.decayed < 0 || options.decayed > n) {
    a.fail(fmt::format("options.decayed is {}, but must be from 0 to {}", options.decayed, n));
  }
}

void sample(Tensor token, Tensor logits, Tensor seen, Tensor draw, const Sampling& options) {
  const Arguments a("sample");
  a.has_rank("logits", logits, 2, "[B,V]");
  const int64_t B = logits.dim(0), V = logits.dim(1);
  if (token.rank() == 2) {
    a.is("token", token, {B, 1}, DType::kI32);
  } else {
    a.is("token", token, {B}, DType::kI32);
  }
  a.is("seen", seen, {B, V}, DType::kI32);
  a.is("draw", draw, {B, 2}, DType::kI32);
  if (options.top_k < 0) a.fail(fmt::format("options.top_k is {}, but must be 0 or more", options.top_k));
  if (!(options.top_p > 0.0 && options.top_p <= 1.0)) {
    a.fail(fmt::format("options.top_p is {:g}, but must be over 0 and at most 1", options.top_p));
  }
  if (!(options.temperature >= 0.0)) {
    a.fail(fmt::format("options.temperature is {:g}, but must be 0 or more", options.temperature));
  }
  if (!(options.repetition_penalty > 0.0)) {
    a.fail(fmt::format("options.repetition_penalty is {:g}, but must be over 0", options.repetition_penalty));
  }
}

void increment(Tensor counters) {
  Arguments("increment").has_rank("counters", counters, 1, "[n]", DType::kI32);
}

void ids(const char* operation, const char* name, const int32_t* ids, int64_t n, int64_t limit,
         const char* table) {
  for (int64_t i = 0; i < n; ++i) {
    if (ids[i] >= 0 && ids[i] < limit) continue;
    throw Error(fmt::format("{}: {} has {} at index {}, but {} takes 0 to {}", operation, name, ids[i], i,
                            table, limit - 1));
  }
}

void copied(const char* function, Tensor t) {
  if (!t.contiguous() || (!t && t.size() > 0)) {
    throw Error(fmt::format("{}: the tensor is {}, but must be contiguous", function, to_string(t)));
  }
}

void copied(const char* function, Tensor dst, Tensor src) {
  copied(function, dst);
  copied(function, src);
  if (dst.dtype() != src.dtype() || dst.size() != src.size()) {
    throw Error(fmt::format("{}: from {} to {}, but both must have the same dtype and size", function,
                            to_string(src), to_string(dst)));
  }
}

}  // namespace hipgpt::check
