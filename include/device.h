// Device: the memory and the operations that a transformer is made of.
//
// The model (above) calls operations and never a kernel; the implementations (below: src/cpu, src/hip) know
// nothing of transformers. Every operation is documented by its mathematics and shapes; `CpuDevice` is the
// reference.
//
// Letters as everywhere in HipGPT: B sequences in a batch, T tokens in each, R = B*T rows, E embedding,
// H heads, D = E/H head size, F feed-forward, V vocabulary. Matrices are row-major. All values are fp32 and
// all tokens int32 unless an operation says otherwise. Same input, same bits: every reduction has an order
// that depends on shapes alone, never on the number of threads.
//
// Operations are done in the order of the calls, but a call may return before its work is done; only
// copy_to_host() waits. What changes from step to step (a position, a learning rate, the count of passes) is
// read from the device's memory when an operation runs, so that a sequence of operations can be recorded once
// and run many times.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tensor.h"

namespace hipgpt {

enum class Activation : uint8_t { kNone, kRelu, kGelu };

/// Inverted dropout (Srivastava et al., JMLR 2014): element i is kept with probability 1-p and then scaled by
/// 1/(1-p). Whether it is kept is a pure function of (seed, pass, site, i) by Philox, so that the backward
/// pass recomputes the mask instead of storing it.
struct Dropout {
  float p = 0.0f;     ///< probability of zeroing an element, in [0, 1)
  uint64_t seed = 0;  ///< of the run
  Tensor pass = {};   ///< int32 [1] on the device: counts forward passes; may be none if p is 0
  uint32_t site = 0;  ///< which dropout of the model this is
};

/// AdamW (Loshchilov & Hutter, ICLR 2019): what stays the same from step to step.
struct AdamW {
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  float weight_decay = 0.0f;
  float max_grad_norm = 0.0f;  ///< 0: gradients are not clipped
  int64_t decayed = 0;         ///< the first `decayed` parameters have weight decay
};

/// How a token is drawn from its logits.
struct Sampling {
  int top_k = 5;             ///< only the k likeliest tokens; 0: all
  double top_p = 1.0;        ///< only the likeliest tokens that together reach this probability
  double temperature = 1.0;  ///< logits are divided by it; 0: always the likeliest token
  double repetition_penalty =
      1.0;  ///< logits of tokens seen before are divided by it if positive, else multiplied
  uint64_t seed = 0;
};

/// A device of this machine, as `--list-devices` shows it.
struct DeviceInfo {
  std::string name;         ///< for --device
  std::string description;  ///< one line for people
  bool usable = true;       ///< false: `description` says why it is not
  bool emulated = false;    ///< a GPU that is imitated on the CPU, for tests
};

class Device {
 public:
  virtual ~Device() = default;
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// One line for people: what it is and how many threads or units it uses.
  virtual std::string description() const = 0;

  // ---- Memory -------------------------------------------------------------------------------------------

  /// Memory aligned to 64 bytes; Error (with the size) when there is none left. Contents are undefined.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  /// The same on the host: memory that the device copies to fastest.
  virtual void* allocate_host(size_t bytes) = 0;
  virtual void release_host(void* memory) noexcept = 0;
  /// `host` may be reused as soon as this returns.
  virtual void copy_to_device(Tensor dst, const void* host) = 0;
  /// Waits for everything before it.
  virtual void copy_to_host(void* host, Tensor src) = 0;
  /// dst = src, of one size.
  virtual void copy(Tensor dst, Tensor src) = 0;
  virtual void set_zero(Tensor t) = 0;

  /// Bytes of a large intermediate result that are best worked on at a time: enough to keep the device busy,
  /// few enough for its caches.
  virtual int64_t working_set() const = 0;

  // ---- Sequences ----------------------------------------------------------------------------------------

  /// Operations that were recorded to be run many times, on the same tensors.
  class Sequence {
   public:
    virtual ~Sequence() = default;
    virtual void run() = 0;
  };

  /// Records the operations that `f` calls, without doing them. `f` may not copy from or to the host, and the
  /// sequence must not outlive what `f` refers to: on a CPU, to run it is to call `f`.
  virtual std::unique_ptr<Sequence> record(std::function<void()> f) = 0;

  // ---- Matrix products ----------------------------------------------------------------------------------

  enum class Op : uint8_t { kNone, kTranspose };

  /// C = op(A) op(B), or C += op(A) op(B) if `accumulate`.   C [m,n], op(A) [m,k], op(B) [k,n].
  virtual void matmul(Tensor c, Tensor a, Op op_a, Tensor b, Op op_b, bool accumulate) = 0;

  /// y = act(x W + b).   x [R,in], W [in,out] (or [out,in] with Op::kTranspose), b [out] or none, y [R,out].
  /// `pre` [R,out], if given, receives x W + b, which activation_backward wants; y and pre may be one tensor.
  virtual void linear(Tensor y, Tensor x, Tensor w, Op op_w, Tensor b, Activation act, Tensor pre) = 0;

  /// Gradient of y = x op(W) + b, for a given dy [R,out]:
  ///   dW += x^T dy (its transpose if W is stored [out,in]);  db += sum_rows dy, if there is a bias;
  ///   dx = dy op(W)^T, or, if x = act(pre), dx = (dy op(W)^T) act'(pre): then the gradient of pre.
  /// GELU is GPT-2's tanh form: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))  (Hendrycks & Gimpel, 2016).
  virtual void linear_backward(Tensor dx, Tensor dw, Tensor db, Tensor dy, Tensor x, Tensor w, Op op_w,
                               Activation act, Tensor pre) = 0;

  // ---- Embedding ----------------------------------------------------------------------------------------

  /// y[b,t] = wte[token[b,t]] + wpe[first + t].   tokens [B,T], wte [V,E], wpe [S,E], y [B*T,E];
  /// first_position int32 [1] says `first`, none: 0.
  virtual void embedding(Tensor y, Tensor tokens, Tensor wte, Tensor wpe, Tensor first_position) = 0;

  /// dwte[token[b,t]] += dy[b,t];  dwpe[t] += sum_b dy[b,t].
  virtual void embedding_backward(Tensor dwte, Tensor dwpe, Tensor dy, Tensor tokens) = 0;

  // ---- LayerNorm (Ba et al., 2016), epsilon 1e-5 ----------------------------------------------------------

  /// y = (x - mean) rstd * w + b per row, rstd = 1/sqrt(var + 1e-5).   x, y [R,E]; w, b [E]; mean, rstd [R].
  virtual void layernorm(Tensor y, Tensor mean, Tensor rstd, Tensor x, Tensor w, Tensor b) = 0;

  /// sum = x + dropout(branch),  y = LayerNorm(sum): the residual connection and what reads it, in one pass.
  virtual void residual_layernorm(Tensor sum, Tensor y, Tensor mean, Tensor rstd, Tensor x, Tensor branch,
                                  const Dropout& dropout, Tensor w, Tensor b) = 0;

  /// With xh = (x - mean) rstd and g = dy * w:  dx += rstd (g - mean_E(g) - xh mean_E(g xh)),
  /// dw += sum_rows dy xh,  db += sum_rows dy.
  virtual void layernorm_backward(Tensor dx, Tensor dw, Tensor db, Tensor dy, Tensor x, Tensor w, Tensor mean,
                                  Tensor rstd) = 0;

  // ---- Causal self-attention (Vaswani et al., 2017), scores scaled by 1/sqrt(D) ---------------------------

  /// out = concat_h dropout(softmax(Q_h K_h^T / sqrt(D) + causal mask)) V_h.
  /// qkv [B,T,3E] holds Q, K, V side by side, out [B,T,E]; lse [B,H,T] receives log sum exp of each row of
  /// scores, from which the backward pass recomputes the probabilities: no [T,T] matrix is kept.
  virtual void attention(Tensor out, Tensor lse, Tensor qkv, int heads, const Dropout& dropout) = 0;

  /// dqkv from dout, with the same qkv, out, lse and dropout as the forward pass.
  virtual void attention_backward(Tensor dqkv, Tensor dout, Tensor qkv, Tensor out, Tensor lse, int heads,
                                  const Dropout& dropout) = 0;

  /// Attention of T new tokens of each of B sequences to all tokens before them and to each other: appends
  /// their keys and values to the sequence's caches at row `past`, then attends to rows [0, past+T).
  /// qkv [B,T,3E], key and value caches [B,S,E], out [B,T,E], past int32 [1].
  virtual void attention_cached(Tensor out, Tensor keys, Tensor values, Tensor qkv, int heads,
                                Tensor past) = 0;

  // ---- Residual and dropout -----------------------------------------------------------------------------

  /// y = x + dropout(branch); y and x may be one tensor, and x may be none (y = dropout(branch)).
  virtual void add_dropout(Tensor y, Tensor x, Tensor branch, const Dropout& dropout) = 0;

  /// dbranch = dy * mask / (1-p), with the mask of the forward pass.
  virtual void dropout_backward(Tensor dbranch, Tensor dy, const Dropout& dropout) = 0;

  // ---- Loss ---------------------------------------------------------------------------------------------

  /// losses[i] = log sum_j exp(z[i,j]) - z[i, target[i]].   logits z [R,V], targets [R], losses [R].
  virtual void cross_entropy(Tensor losses, Tensor logits, Tensor targets) = 0;

  /// The same, and z becomes its own gradient: z[i,j] = scale (softmax(z[i])_j - [j = target[i]]).
  virtual void cross_entropy_with_gradient(Tensor losses, Tensor logits, Tensor targets, float scale) = 0;

  // ---- Optimizer ----------------------------------------------------------------------------------------

  /// out[0] = sum_i x[i], summed in double.
  virtual void sum(Tensor out, Tensor x) = 0;

  /// out[0] = sqrt(sum_i x[i]^2), summed in double.
  virtual void norm(Tensor out, Tensor x) = 0;

  /// One AdamW step over flat arrays of n parameters, with c = min(1, max_grad_norm / grad_norm[0]) and rates
  /// [3] holding the learning rate lr, 1/(1-b1^t) and 1/(1-b2^t) of step t, counted from 1:
  ///   g = c grad;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
  ///   p -= lr ( (m/(1-b1^t)) / (sqrt(v/(1-b2^t)) + eps) + weight_decay p ).
  /// If grad_norm[0] is not finite nothing changes.
  virtual void adamw(Tensor params, Tensor grads, Tensor m, Tensor v, Tensor grad_norm, Tensor rates,
                     const AdamW& options) = 0;

  // ---- Sampling -----------------------------------------------------------------------------------------

  /// token[b] = a draw from logits[b]. In this order: repetition penalty (Keskar et al., 2019) for the tokens
  /// i with seen[b,i] != 0, temperature, top-k (Fan et al., 2018), top-p (Holtzman et al., 2020), and the
  /// draw numbered n of the stream s, where (s, n) = draw[b]: a function of (seed, s, n). Of equal logits the
  /// smaller id is first. Then seen[b,token[b]] = 1 and n += 1. If a logit of b is not finite token[b] is -1.
  /// logits [B,V], token int32 [B], draw int32 [B,2], seen int32 [B,V].
  virtual void sample(Tensor token, Tensor logits, Tensor seen, Tensor draw, const Sampling& options) = 0;

  /// counters[i] += 1, int32.
  virtual void increment(Tensor counters) = 0;
};

/// Owns a piece of a device's memory, or of the host's for copies from the device.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device& device, size_t bytes)
      : memory_(device.allocate(bytes), Release{&device, &Device::release}), bytes_(bytes) {}

  static Buffer on_host(Device& device, size_t bytes) {
    Buffer buffer;
    buffer.memory_ = {device.allocate_host(bytes), Release{&device, &Device::release_host}};
    buffer.bytes_ = bytes;
    return buffer;
  }

  std::byte* data() const { return static_cast<std::byte*>(memory_.get()); }
  size_t bytes() const { return bytes_; }

 private:
  struct Release {
    Device* device;
    void (Device::*release)(void*) noexcept;
    void operator()(void* memory) const noexcept { (device->*release)(memory); }
  };
  std::unique_ptr<void, Release> memory_;
  size_t bytes_ = 0;
};

/// The device that `--device NAME` asks for: "cpu", "hip" (a GPU), or "auto" (a GPU if there is one).
/// `threads`, of the CPU, 0: all cores. Error for a name that is unknown, and where there is no GPU or no
/// kernels for it.
std::unique_ptr<Device> make_device(const std::string& name, int threads);

/// What make_device() can make here; where there is no GPU, "hip" comes with the reason.
std::vector<DeviceInfo> list_devices();

}  // namespace hipgpt
