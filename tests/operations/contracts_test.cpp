// Tests of the operations' contracts. Whatever is wrong with an argument, every device throws an Error that
// names the operation, and changes nothing outside the operation's tensors.
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>

#include "device_fixture.h"
#include "error.h"
#include "hip/gpu.h"

namespace hipgpt {
namespace {

struct Argument {
  const char* name;
  std::vector<int64_t> shape;
  DType dtype = DType::kF32;
  bool optional = false;                                       // a missing tensor is valid too
  enum { kNothing, kRows, kColumns, kShape } free = kNothing;  // what may have another size
  int64_t ids = 0;         // for int32: values must be in [0, ids), unless ids is 0
  bool pitched = false;    // rows may have a pitch
  bool any_float = false;  // fp32 and bf16 are both valid, whatever the other arguments are

  Argument with_pitch() const {
    Argument a = *this;
    a.pitched = true;
    return a;
  }
  Argument of_any_float() const {
    Argument a = *this;
    a.any_float = true;
    return a;
  }
};

/// An operation with valid arguments.
struct Call {
  const char* operation;
  std::vector<Argument> arguments;
  std::function<void(Device&, const std::vector<Tensor>&)> run;
};

constexpr int64_t B = 2, T = 3, E = 8, H = 2, V = 11, S = 5, R = B * T, In = 6, Out = 4;

std::vector<Call> calls() {
  const DType i32 = DType::kI32, bf16 = DType::kBF16;
  const auto linear = [](Layout layout) {
    return [layout](Device& d, const std::vector<Tensor>& t) {
      d.linear(t[0], t[1], {t[2], t[3], layout}, Activation::kGelu, t[4]);
    };
  };
  const auto linear_backward = [](Layout layout) {
    return [layout](Device& d, const std::vector<Tensor>& t) {
      d.linear_backward(t[0], {t[1], t[2], layout}, t[3], t[4], {t[5], {}, layout}, t[6], t[7]);
    };
  };
  return {
      {"linear",
       {{"y", {R, Out}},
        {"x", {R, In}},
        {"layer.weight", {In, Out}},
        {"layer.bias", {Out}, DType::kF32, true},
        {"slope", {R, Out}, DType::kF32, true}},
       linear(Layout::kInOut)},
      {"linear",
       {{"y", {R, Out}},
        {"x", {R, In}},
        {"layer.weight", {Out, In}},
        {"layer.bias", {Out}, DType::kF32, true},
        {"slope", {R, Out}, DType::kF32, true}},
       linear(Layout::kOutIn)},
      {"linear_backward",
       {{"dx", {R, In}},
        {"gradients.weight", {In, Out}},
        {"gradients.bias", {Out}, DType::kF32, true},
        Argument{"dy", {R, Out}}.with_pitch(),
        {"x", {R, In}},
        {"layer.weight", {In, Out}},
        {"slope", {R, In}, DType::kF32, true},
        {"dx_sums", {In}, DType::kF32, true}},
       linear_backward(Layout::kInOut)},
      {"linear_backward",
       {{"dx", {R, In}},
        {"gradients.weight", {Out, In}},
        {"gradients.bias", {Out}, DType::kF32, true},
        Argument{"dy", {R, Out}}.with_pitch(),
        {"x", {R, In}},
        {"layer.weight", {Out, In}},
        {"slope", {R, In}, DType::kF32, true},
        {"dx_sums", {In}, DType::kF32, true}},
       linear_backward(Layout::kOutIn)},
      {"linear",
       {{"y", {R, Out}, bf16},
        {"x", {R, In}, bf16},
        {"layer.weight", {In, Out}, bf16},
        {"layer.bias", {Out}, DType::kF32, true},
        {"slope", {R, Out}, bf16, true}},
       linear(Layout::kInOut)},
      {"linear_backward",
       {{"dx", {R, In}, bf16},
        {"gradients.weight", {Out, In}},
        {"gradients.bias", {Out}, DType::kF32, true},
        Argument{"dy", {R, Out}, bf16}.with_pitch(),
        {"x", {R, In}, bf16},
        {"layer.weight", {Out, In}, bf16},
        {"slope", {R, In}, bf16, true},
        {"dx_sums", {In}, DType::kF32, true}},
       linear_backward(Layout::kOutIn)},
      {"embedding",
       {{"y", {R, E}},
        {"tokens", {B, T}, i32, false, Argument::kNothing, V},
        {"wte", {V, E}, DType::kF32, false, Argument::kRows},
        {"wpe", {S, E}, DType::kF32, false, Argument::kRows},
        {"first_position", {1}, i32, true, Argument::kNothing, S - T + 1}},
       [](Device& d, const std::vector<Tensor>& t) { d.embedding(t[0], t[1], t[2], t[3], t[4]); }},
      {"embedding_backward",
       {{"dwte", {V, E}, DType::kF32, false, Argument::kRows},
        {"dwpe", {S, E}, DType::kF32, false, Argument::kRows},
        Argument{"dy", {R, E}}.of_any_float(),
        {"tokens", {B, T}, i32, false, Argument::kNothing, V}},
       [](Device& d, const std::vector<Tensor>& t) { d.embedding_backward(t[0], t[1], t[2], t[3]); }},
      {"layernorm",
       {{"y", {R, E}},
        {"stats.mean", {R}},
        {"stats.rstd", {R}},
        {"x", {R, E}},
        {"norm.weight", {E}},
        {"norm.bias", {E}}},
       [](Device& d, const std::vector<Tensor>& t) {
         d.layernorm(t[0], {t[1], t[2]}, t[3], {t[4], t[5]});
       }},
      {"residual_layernorm",
       {{"sum", {R, E}},
        {"y", {R, E}},
        {"stats.mean", {R}},
        {"stats.rstd", {R}},
        {"x", {R, E}},
        {"branch", {R, E}},
        {"norm.weight", {E}},
        {"norm.bias", {E}},
        {"dropout.micro_step", {1}, i32}},
       [](Device& d, const std::vector<Tensor>& t) {
         d.residual_layernorm(t[0], t[1], {t[2], t[3]}, t[4], t[5], {.p = 0.5f, .micro_step = t[8]},
                              {t[6], t[7]});
       }},
      {"layernorm_backward",
       {{"dx", {R, E}},
        {"gradients.weight", {E}},
        {"gradients.bias", {E}},
        {"dy", {R, E}},
        {"x", {R, E}},
        {"norm.weight", {E}},
        {"stats.mean", {R}},
        {"stats.rstd", {R}},
        {"dx_sums", {E}, DType::kF32, true}},
       [](Device& d, const std::vector<Tensor>& t) {
         d.layernorm_backward(t[0], {t[1], t[2]}, t[3], t[4], {t[5], {}}, {t[6], t[7]}, t[8]);
       }},
      {"attention",
       {{"out", {B, T, E}}, {"lse", {B, H, T}}, {"qkv", {B, T, 3 * E}}, {"dropout.micro_step", {1}, i32}},
       [](Device& d, const std::vector<Tensor>& t) {
         d.attention(t[0], t[1], t[2], H, {.p = 0.5f, .micro_step = t[3]});
       }},
      {"attention_backward",
       {{"dqkv", {B, T, 3 * E}},
        {"dout", {B, T, E}},
        {"qkv", {B, T, 3 * E}},
        {"out", {B, T, E}},
        {"lse", {B, H, T}},
        {"dropout.micro_step", {1}, i32},
        {"dqkv_sums", {3 * E}, DType::kF32, true}},
       [](Device& d, const std::vector<Tensor>& t) {
         d.attention_backward(t[0], t[1], t[2], t[3], t[4], H, {.p = 0.5f, .micro_step = t[5]}, t[6]);
       }},
      {"attention_cached",
       {{"out", {B, T, E}},
        {"keys", {B, S, E}},
        {"values", {B, S, E}},
        {"qkv", {B, T, 3 * E}},
        {"past", {1}, i32, false, Argument::kNothing, S - T + 1}},
       [](Device& d, const std::vector<Tensor>& t) { d.attention_cached(t[0], t[1], t[2], t[3], H, t[4]); }},
      {"attention_cached",
       {{"out", {B, 1, E}},
        {"keys", {B, S, E}},
        {"values", {B, S, E}},
        {"qkv", {B, 1, 3 * E}},
        {"past", {1}, i32, false, Argument::kNothing, S}},
       [](Device& d, const std::vector<Tensor>& t) { d.attention_cached(t[0], t[1], t[2], t[3], H, t[4]); }},
      {"add_dropout",
       {{"y", {R, E}},
        {"x", {R, E}, DType::kF32, true},
        {"branch", {R, E}},
        {"dropout.micro_step", {1}, i32}},
       [](Device& d, const std::vector<Tensor>& t) {
         d.add_dropout(t[0], t[1], t[2], {.p = 0.5f, .micro_step = t[3]});
       }},
      {"cross_entropy",
       {{"losses", {R}},
        Argument{"logits", {R, V}, DType::kF32, false, Argument::kColumns}.with_pitch().of_any_float(),
        {"targets", {R}, i32, false, Argument::kNothing, V}},
       [](Device& d, const std::vector<Tensor>& t) { d.cross_entropy(t[0], t[1], t[2]); }},
      {"cross_entropy_with_gradient",
       {{"losses", {R}},
        Argument{"logits", {R, V}, DType::kF32, false, Argument::kColumns}.with_pitch().of_any_float(),
        {"targets", {R}, i32, false, Argument::kNothing, V}},
       [](Device& d, const std::vector<Tensor>& t) {
         d.cross_entropy_with_gradient(t[0], t[1], t[2], 1.0f);
       }},
      {"cross_entropy_with_gradient",  // one block per row
       {{"losses", {1}},
        Argument{"logits", {1, 600}, DType::kF32, false, Argument::kColumns}.with_pitch().of_any_float(),
        {"targets", {1}, i32, false, Argument::kNothing, 600}},
       [](Device& d, const std::vector<Tensor>& t) {
         d.cross_entropy_with_gradient(t[0], t[1], t[2], 1.0f);
       }},
      {"sum",
       {{"out", {1}}, {"x", {R, E}, DType::kF32, false, Argument::kShape}},
       [](Device& d, const std::vector<Tensor>& t) { d.sum(t[0], t[1]); }},
      {"l2_norm",
       {{"out", {1}}, {"x", {R, E}, DType::kF32, false, Argument::kShape}},
       [](Device& d, const std::vector<Tensor>& t) { d.l2_norm(t[0], t[1]); }},
      {"fused_linear",
       {{"y", {R, Out}},
        {"residual", {R, Out}, DType::kF32, true},
        {"x", {R, In}},
        {"layer.weight", {Out, In}},
        {"layer.bias", {Out}, DType::kF32, true}},
       [](Device& d, const std::vector<Tensor>& t) {
         d.fused_linear(t[0], t[1], t[2], true, {t[3], t[4], Layout::kOutIn}, Activation::kGelu);
       }},
      {"fused_linear",
       {{"y", {R, Out}, bf16},
        {"residual", {R, Out}, bf16, true},
        {"x", {R, 8}, bf16},
        {"layer.weight", {Out, 8}, bf16},
        {"layer.bias", {Out}, DType::kF32, true}},
       [](Device& d, const std::vector<Tensor>& t) {
         d.fused_linear(t[0], t[1], t[2], false, {t[3], t[4], Layout::kOutIn}, Activation::kNone);
       }},
      {"linear",  // of bf16, with a result in fp32
       {{"y", {R, Out}},
        {"x", {R, In}, bf16},
        {"layer.weight", {Out, In}, bf16},
        {"layer.bias", {Out}, DType::kF32, true},
        {"slope", {R, Out}, DType::kF32, true}},
       linear(Layout::kOutIn)},
      {"round_to_bf16",
       {{"out", {V}, bf16}, {"x", {V}}},
       [](Device& d, const std::vector<Tensor>& t) { d.round_to_bf16(t[0], t[1]); }},
      {"adamw",
       {{"params", {V}}, {"grads", {V}}, {"m", {V}}, {"v", {V}}, {"grad_norm", {1}}, {"rates", {3}}},
       [](Device& d, const std::vector<Tensor>& t) { d.adamw(t[0], {}, t[1], t[2], t[3], t[4], t[5], {}); }},
      {"sample",
       {{"token", {B, 1}, i32}, {"logits", {B, V}}, {"seen", {B, V}, i32}, {"draw", {B, 2}, i32}},
       [](Device& d, const std::vector<Tensor>& t) { d.sample(t[0], t[1], t[2], t[3], {}); }},
      {"increment",
       {{"counters", {V}, i32, false, Argument::kShape}},
       [](Device& d, const std::vector<Tensor>& t) { d.increment(t[0]); }},
  };
}

/// The calls, and those with matrices in bf16 as well.
std::vector<Call> all_calls() {
  const std::set<std::string> matrices = {"y",   "dy",  "x",   "dx",   "sum",  "branch", "logits", "wte",
                                          "wpe", "out", "qkv", "dqkv", "dout", "keys",   "values"};
  std::vector<Call> all;
  for (const Call& call : calls()) {
    all.push_back(call);
    const std::string name = call.operation;
    if (name == "sample" || name == "sum" || name == "l2_norm" || name == "round_to_bf16" ||
        name.starts_with("linear") || name == "fused_linear") {
      continue;
    }
    Call other = call;
    bool changed = false;
    for (Argument& a : other.arguments) {
      if (!matrices.contains(a.name)) continue;
      a.dtype = DType::kBF16;
      changed = true;
    }
    if (changed) all.push_back(other);
  }
  return all;
}

class Contracts : public DeviceTest {
 protected:
  static Tensor make(std::byte* memory, const std::vector<int64_t>& s, DType dtype) {
    switch (s.size()) {
      case 0: return {memory, {}, dtype};
      case 1: return {memory, {s[0]}, dtype};
      case 2: return {memory, {s[0], s[1]}, dtype};
      case 3: return {memory, {s[0], s[1], s[2]}, dtype};
      default: return {memory, {s[0], s[1], s[2], s[3]}, dtype};
    }
  }

  std::vector<Tensor> right_arguments(const Call& call) {
    std::vector<Tensor> tensors;
    for (const Argument& a : call.arguments) {
      const Tensor room = zeros({V * 600}, a.dtype);  // large enough for any mistaken shape
      tensors.push_back(make(static_cast<std::byte*>(room.data()), a.shape, a.dtype));
    }
    return tensors;
  }

  int pick(int count) { return std::uniform_int_distribution<int>(0, count - 1)(generator_); }

  /// Returns an invalid tensor in place of an argument, or nothing where this mistake does not apply.
  std::optional<Tensor> mistaken(const Argument& a, const Tensor& right) {
    auto* memory = static_cast<std::byte*>(right.data());
    std::vector<int64_t> shape = a.shape;
    const auto d = static_cast<size_t>(pick(static_cast<int>(shape.size())));
    switch (pick(8)) {
      case 0:  // no tensor
        if (a.optional) return std::nullopt;
        return Tensor();
      case 1:  // the shape without memory
        return make(nullptr, shape, a.dtype);
      case 2:  // a dimension of another size
        if (a.free == Argument::kShape || (a.free == Argument::kRows && d == 0) ||
            (a.free == Argument::kColumns && d == 1)) {
          return std::nullopt;
        }
        shape[d] += std::vector<int64_t>{-1, 1, 7, shape[d]}[static_cast<size_t>(pick(4))];
        return make(memory, shape, a.dtype);
      case 3:  // an empty dimension
        shape[d] = 0;
        return make(memory, shape, a.dtype);
      case 4:  // one more dimension
        if (a.free == Argument::kShape && shape.size() > 1) return std::nullopt;
        shape.insert(shape.begin() + pick(static_cast<int>(shape.size()) + 1), 1);
        return make(memory, shape, a.dtype);
      case 5:  // one dimension less
        if (a.free == Argument::kShape && shape.size() > 1) return std::nullopt;
        if (std::string(a.name) == "token") return std::nullopt;  // it may be [B] or [B,1]
        shape.erase(shape.begin() + static_cast<ptrdiff_t>(d));
        return make(memory, shape, a.dtype);
      case 6: {  // another dtype
        const std::vector<DType> all = {DType::kF32, DType::kI32, DType::kBF16};
        const DType dtype = all[static_cast<size_t>(pick(3))];
        if (dtype == a.dtype || (a.any_float && dtype != DType::kI32)) return std::nullopt;
        const std::string name = a.name;
        const bool narrow_weight = (dtype == DType::kBF16 && (name == "wte" || name == "layer.weight")) ||
                                   (dtype == DType::kF32 && name == "x");
        if (narrow_weight && device_->reads_host_memory()) return std::nullopt;  // may be valid
        return make(memory, shape, dtype);
      }
      default:  // rows that are not contiguous
        if (shape.size() < 2 || a.pitched) return std::nullopt;
        return right.with_pitch(shape.back() + 1 + pick(4));
    }
  }

  /// Runs the call and waits for it, because wrong values on the device may only be detected then.
  std::string error_of(const Call& call, const std::vector<Tensor>& arguments) {
    int32_t waited_for = 0;
    const Tensor one = zeros({1}, DType::kI32);
    try {
      call.run(*device_, arguments);
      device_->copy_to_host(&waited_for, one);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Contracts, testing::ValuesIn(all_devices()), case_name);

TEST_P(Contracts, ValidArgumentsAreAccepted) {
  for (const Call& call : all_calls()) EXPECT_EQ(error_of(call, right_arguments(call)), "") << call.operation;
}

TEST_P(Contracts, AnyMistakeIsAnErrorThatNamesTheOperation) {
  for (const Call& call : all_calls()) {
    const std::vector<Tensor> right = right_arguments(call);
    for (int i = 0; i < 300; ++i) {
      const auto which = static_cast<size_t>(pick(static_cast<int>(right.size())));
      std::vector<Tensor> arguments = right;
      const std::optional<Tensor> wrong = mistaken(call.arguments[which], right[which]);
      if (!wrong) continue;
      arguments[which] = *wrong;
      const std::string error = error_of(call, arguments);
      ASSERT_TRUE(error.starts_with(std::string(call.operation) + ": "))
          << call.operation << " accepted " << call.arguments[which].name << " " << to_string(*wrong) << ": "
          << error;
    }
  }
}

TEST_P(Contracts, AMessageSaysWhatWasFoundAndWhatIsExpected) {
  const Tensor y = zeros({3, 4}), x = zeros({3, 5}), w = zeros({6, 4});
  try {
    device_->linear(y, x, {w, {}}, Activation::kNone, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "linear: layer.weight is f32 [6,4], but must be f32 [5,4]");
  }
}

/// Ids select rows of tables, so an id outside its table would become an address outside it.
TEST_P(Contracts, IdsAndPositionsOutsideTheirTablesAreErrors) {
  for (const Call& call : all_calls()) {
    const std::vector<Tensor> arguments = right_arguments(call);
    for (size_t i = 0; i < arguments.size(); ++i) {
      if (call.arguments[i].ids == 0) continue;
      const auto limit = static_cast<int32_t>(call.arguments[i].ids);
      for (const int32_t bad :
           {limit, -1, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min()}) {
        std::vector<int32_t> ids(static_cast<size_t>(arguments[i].size()), 0);
        ids[static_cast<size_t>(pick(static_cast<int>(ids.size())))] = bad;
        device_->copy_to_device(arguments[i], ids.data());
        const std::string error = error_of(call, arguments);
        EXPECT_TRUE(error.starts_with(std::string(call.operation) + ": "))
            << call.operation << " " << bad << error;
        device_->set_zero(arguments[i]);
        EXPECT_EQ(error_of(call, arguments), "") << "the device no longer works: " << call.operation;
      }
    }
  }
}

TEST_P(Contracts, NumbersOutOfRangeAreErrors) {
  const Tensor x = zeros({R, E}), qkv = zeros({B, T, 3 * E}), out = zeros({B, T, E}), lse = zeros({B, H, T});
  for (const int heads : {0, -1, 3, 16}) EXPECT_THROW(device_->attention(out, lse, qkv, heads, {}), Error);
  for (const float p : {-0.1f, 1.0f, 2.0f, std::nanf("")}) {
    const Dropout dropout{.p = p, .micro_step = zeros({1}, DType::kI32)};
    EXPECT_THROW(device_->add_dropout(x, {}, x, dropout), Error);
    EXPECT_THROW(device_->attention(out, lse, qkv, H, dropout), Error);
  }
  const Tensor token = zeros({B}, DType::kI32), z = zeros({B, V}), seen = zeros({B, V}, DType::kI32),
               draw = zeros({B, 2}, DType::kI32);
  for (const Sampling& bad :
       {Sampling{.top_k = -1}, Sampling{.top_p = 0.0}, Sampling{.top_p = 1.5}, Sampling{.temperature = -1.0},
        Sampling{.repetition_penalty = 0.0}, Sampling{.top_p = std::nan("")}}) {
    EXPECT_THROW(device_->sample(token, z, seen, draw, bad), Error);
  }
  const Tensor p = zeros({V});
  for (const int64_t decayed : {int64_t{-1}, V + 1}) {
    EXPECT_THROW(device_->adamw(p, {}, p, p, p, zeros({1}), zeros({3}), {.decayed = decayed}), Error);
  }
}

TEST_P(Contracts, CopiesTakeTensorsOfOneSizeAndDtype) {
  std::vector<float> host(100);
  const Tensor a = zeros({4, 5}), b = zeros({4, 6}), ints = zeros({4, 5}, DType::kI32);
  EXPECT_THROW(device_->copy(a, b), Error);
  EXPECT_THROW(device_->copy(a, ints), Error);
  for (const Tensor& bad : {Tensor(nullptr, {4, 5}), a.with_pitch(6)}) {
    EXPECT_THROW(device_->copy(bad, a), Error);
    EXPECT_THROW(device_->copy_to_device(bad, host.data()), Error);
    EXPECT_THROW(device_->copy_to_host(host.data(), bad), Error);
    EXPECT_THROW(device_->set_zero(bad), Error);
  }
}

// ---- Devices --------------------------------------------------------------------------------------------

TEST(DevicesTest, AreListedByNamesThatOpenThem) {
  for (const DeviceInfo& info : list_devices()) {
    if (!info.usable) continue;
    EXPECT_NE(make_device(info.name, 1), nullptr) << info.name;
  }
}

TEST(DevicesTest, OtherNamesAreErrors) {
  for (const char* name : {"", "gpu", "hip:", "hip:x", "hip:-1", "hip:0x", "hip: 0", "hip:99",
                           "hip:99999999999", "cpu:0", "HIP"}) {
    EXPECT_THROW(make_device(name, 1), Error) << name;
  }
}

TEST(DevicesTest, ArchitecturesTellTheirComputeUnits) {
  EXPECT_EQ(hip::architecture("gfx90a:sramecc+:xnack-"), "gfx90a");
  EXPECT_EQ(hip::architecture("sm_90"), "sm_90");
  for (const char* rdna : {"gfx1030", "gfx1100", "gfx1151", "gfx1201"})
    EXPECT_EQ(hip::compute_units(rdna, 30), 60);
  for (const char* other : {"gfx900", "gfx90a", "gfx942", "gfx950", "sm_90", "sm_120", "emulated"})
    EXPECT_EQ(hip::compute_units(other, 30), 30);
}

#ifdef HIPGPT_EMULATED
TEST(DevicesTest, AGpuThatWasNotCompiledForIsNamedWithTheRemedy) {
  for (const char* error : {"98", "209"}) {
    setenv("HIPGPT_EMULATED_LAUNCH_ERROR", error, 1);
    std::string message;
    try {
      make_device("hip:0", 1);
    } catch (const Error& e) {
      message = e.what();
    }
    const std::vector<DeviceInfo> devices = list_devices();
    unsetenv("HIPGPT_EMULATED_LAUNCH_ERROR");
    for (const char* part : {"hip:0", "(emulated)", "only has kernels for emulated;",
                             "-DHIPGPT_HIP_ARCHITECTURES=emulated", "device cpu"}) {
      EXPECT_NE(message.find(part), std::string::npos) << part << " is not in: " << message;
    }
    EXPECT_FALSE(devices.front().usable);
    EXPECT_EQ(devices.front().description, message);
  }
  EXPECT_NO_THROW(make_device("hip:0", 1));
}
#endif

// ---- Tensor ---------------------------------------------------------------------------------------------

TEST(TensorTest, ShapesSizesAndBytes) {
  float memory[64];
  const Tensor t(memory, {2, 3, 4});
  EXPECT_EQ(t.size(), 24);
  EXPECT_EQ(t.bytes(), 96u);
  EXPECT_EQ(Tensor(memory, {3, 5}, DType::kBF16).bytes(), 30u);
  EXPECT_EQ(Tensor(memory, {3, 5}, DType::kI32).bytes(), 60u);
  EXPECT_EQ(t.rows(1, 1).f32(), memory + 12);
  EXPECT_EQ(t.reshape({6, 4}).rows(2, 3).f32(), memory + 8);
  EXPECT_EQ(Tensor(memory, {7}).rows(2, 5).f32(), memory + 2);
  EXPECT_EQ(to_string(t), "f32 [2,3,4]");
  EXPECT_EQ(to_string(Tensor()), "none");
}

TEST(TensorTest, APitchIsTheDistanceBetweenRows) {
  float memory[64];
  const Tensor t = Tensor(memory, {3, 5}).with_pitch(8);
  EXPECT_FALSE(t.contiguous());
  EXPECT_EQ(t.size(), 15);
  EXPECT_EQ(t.bytes(), (2 * 8 + 5) * sizeof(float));
  EXPECT_EQ(t.rows(1, 2).f32(), memory + 8);
  EXPECT_EQ(t.rows(2, 1).bytes(), 5 * sizeof(float));
  EXPECT_EQ(Tensor(memory, {2, 3, 5}).with_pitch(8).rows(1, 1).f32(), memory + 24);
  EXPECT_EQ(to_string(t), "f32 [3,5] with a pitch of 8");
  EXPECT_TRUE(t.with_pitch(5).contiguous());
}

TEST(TensorTest, WhatDoesNotFitIsAnError) {
  float memory[64];
  const Tensor t(memory, {4, 6});
  EXPECT_THROW(Tensor(memory, {1, 1, 1, 1, 1}), Error);
  EXPECT_THROW(Tensor(memory, {-1}), Error);
  EXPECT_THROW(Tensor(memory, {int64_t{1} << 40, int64_t{1} << 40}), Error);
  EXPECT_THROW(t.reshape({5, 5}), Error);
  EXPECT_THROW(t.with_pitch(8).reshape({24}), Error);
  EXPECT_THROW(t.with_pitch(5), Error);
  EXPECT_THROW(Tensor(memory, {6}).with_pitch(8), Error);
  for (const auto& [first, count] : {std::pair(-1, 1), {0, 5}, {4, 1}, {1, -1}}) {
    EXPECT_THROW(t.rows(first, count), Error);
  }
  EXPECT_THROW(t.dim(2), Error);
  EXPECT_THROW(t.dim(-1), Error);
  EXPECT_THROW(t.i32(), Error);
  EXPECT_THROW(t.bf16(), Error);
  EXPECT_THROW(Tensor(memory, {2}, DType::kI32).f32(), Error);
}

}  // namespace
}  // namespace hipgpt
