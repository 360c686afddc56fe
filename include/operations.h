// The operations of a transformer: their mathematics, shapes and sources.
//
// Each operation is declared only here, as HIPGPT_OPERATION(name, (parameters), (arguments)). A file that
// includes this one defines what the macro expands to. device.h makes a method of Device,
// src/cpu/cpu_device.h a function hipgpt::cpu::name, hip_kernels.h a launcher hipgpt::hip::name, and
// src/device/check.h the contract. Each of these is defined once, in the file named after the operation.
//
// The letters are the same everywhere in HipGPT: B sequences in a batch, T tokens in each, R = B*T rows, E
// embedding, H heads, D = E/H head size, F feed-forward, V vocabulary. The same input gives the same bits:
// the order of every reduction depends on shapes alone, never on the number of threads.
//
// Precision: the matrices of an operation (activations, their gradients, and the weights it reads as [.,.])
// are all fp32 or all bf16. Everything else is fp32: biases, the parameters and statistics of LayerNorm, lse,
// losses, the gradients of all weights, and the optimizer's state. Sums, softmax and activations are computed
// in fp32, and a result is rounded to bf16 once. Tensors are contiguous and tokens int32 unless an operation
// says otherwise.
//
// An operation checks its arguments before it does anything. It throws Error with its name, the argument, its
// value and the valid values. Ids and positions are in device memory: a CPU checks them at once; a GPU skips
// the rows of invalid ones, and the next copy_to_host() throws the Error.
#ifndef HIPGPT_OPERATION
#define HIPGPT_OPERATION(name, parameters, arguments)  // included by itself, it declares nothing
#endif
// Removes the parentheses around a list.
#define HIPGPT_LIST(...) __VA_ARGS__

// ---- Linear layers --------------------------------------------------------------------------------------

/// y = act(x W + b).   x [R,in], y [R,out]. `slope` [R,out], if given, receives act'(x W + b) for
/// linear_backward. The rows of y and slope may have a pitch, the same for both. If x is bf16, y and slope may
/// be fp32, and a weight [out,in] may be int8. If x is fp32, a device that reads_host_memory() also takes such a weight
/// in bf16 or int8.
/// GELU (Hendrycks & Gimpel, 2016) is z P(Z < z) for a normal Z:  kGeluErf is 0.5 z (1 + erf(z / sqrt 2)), and
/// kGelu is GPT-2's approximation, 0.5 z (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))).
HIPGPT_OPERATION(linear, (Tensor y, Tensor x, const Linear& layer, Activation act, Tensor slope),
                 (y, x, layer, act, slope))

/// The gradient of y = x W + b, for a given dy [R,out], whose rows may have a pitch:
///   dW += x^T dy (its transpose if W is stored [out,in]);  db += sum_rows dy, if there is a bias;
///   dx = dy W^T, or, if x = act(z) and slope = act'(z) [R,in] is given, dx = (dy W^T) slope, the gradient of z;
///   dx_sums += sum_rows dx [in], if given: the gradient of the bias of the layer that computed z.
HIPGPT_OPERATION(linear_backward,
                 (Tensor dx, const Linear& gradients, Tensor dy, Tensor x, const Linear& layer, Tensor slope,
                  Tensor dx_sums),
                 (dx, gradients, dy, x, layer, slope, dx_sums))

/// y = residual + act(s x W + b), for the few rows of a decoding step, in which a GPU reads W once.   x [R,in], y
/// and residual [R,out], or residual none. If x is bf16, y may be fp32; residual has the type of y. W as in linear.
/// If `scaled`, s = 1/sqrt(var_in(x) + 1e-5) per row, else 1: what is left of a LayerNorm before the layer, if its
/// weight, its bias and the subtraction of the mean are part of W and b (see StoredWeights::model).
HIPGPT_OPERATION(fused_linear,
                 (Tensor y, Tensor residual, Tensor x, bool scaled, const Linear& layer, Activation act),
                 (y, residual, x, scaled, layer, act))

// ---- Embedding ------------------------------------------------------------------------------------------

/// y[b,t] = wte[token[b,t]] + wpe[first + t].   tokens int32 [B,T], wte [V,E], wpe [S,E], y [B*T,E];
/// first_position int32 [1] holds `first`, which is 0 if it is none. If y and wpe are bf16, wte may be int8. If they are
/// fp32, a device that reads_host_memory() also takes wte in bf16 or int8.
HIPGPT_OPERATION(embedding, (Tensor y, Tensor tokens, Tensor wte, Tensor wpe, Tensor first_position),
                 (y, tokens, wte, wpe, first_position))

/// dwte[token[b,t]] += dy[b,t];  dwpe[t] += sum_b dy[b,t].
HIPGPT_OPERATION(embedding_backward, (Tensor dwte, Tensor dwpe, Tensor dy, Tensor tokens),
                 (dwte, dwpe, dy, tokens))

// ---- LayerNorm (Ba et al., 2016), epsilon 1e-5 ----------------------------------------------------------

/// y = (x - mean) rstd * weight + bias per row, rstd = 1/sqrt(var + 1e-5).   x, y [R,E].
HIPGPT_OPERATION(layernorm, (Tensor y, const NormStats& stats, Tensor x, const Norm& norm),
                 (y, stats, x, norm))

/// sum = x + dropout(branch),  y = LayerNorm(sum): a residual connection and the LayerNorm after it, fused.
/// All [R,E].
HIPGPT_OPERATION(residual_layernorm,
                 (Tensor sum, Tensor y, const NormStats& stats, Tensor x, Tensor branch,
                  const Dropout& dropout, const Norm& norm),
                 (sum, y, stats, x, branch, dropout, norm))

/// With xh = (x - mean) rstd and g = dy * weight:  dx += rstd (g - mean_E(g) - xh mean_E(g xh)),
/// dweight += sum_rows dy xh,  dbias += sum_rows dy,  and, if given, dx_sums [E] += sum_rows dx: the gradient of
/// a bias that x contains.   dx, dy, x [R,E].
HIPGPT_OPERATION(layernorm_backward,
                 (Tensor dx, const Norm& gradients, Tensor dy, Tensor x, const Norm& norm,
                  const NormStats& stats, Tensor dx_sums),
                 (dx, gradients, dy, x, norm, stats, dx_sums))

// ---- Causal self-attention (Vaswani et al., 2017), scores scaled by 1/sqrt(D) ---------------------------

/// out = concat_h dropout(softmax(Q_h K_h^T / sqrt(D) + causal mask)) V_h.
/// qkv [B,T,3E] holds Q, K, V side by side, out [B,T,E]; lse [B,H,T] receives log sum exp of each row of
/// scores. The backward pass recomputes the probabilities from it, so no [T,T] matrix is saved.
HIPGPT_OPERATION(attention, (Tensor out, Tensor lse, Tensor qkv, int heads, const Dropout& dropout),
                 (out, lse, qkv, heads, dropout))

/// dqkv [B,T,3E] from dout [B,T,E], with the same qkv, out, lse and dropout as the forward pass. dqkv_sums [3E], if
/// given, += the sum of dqkv over B and T: the gradient of the bias of the layer that computed qkv.
HIPGPT_OPERATION(attention_backward,
                 (Tensor dqkv, Tensor dout, Tensor qkv, Tensor out, Tensor lse, int heads,
                  const Dropout& dropout, Tensor dqkv_sums),
                 (dqkv, dout, qkv, out, lse, heads, dropout, dqkv_sums))

/// Attention of T new tokens per sequence to each other and to all earlier tokens of the sequence. Appends
/// their keys and values to the sequence's caches at row `past`, then attends to rows [0, past+T). qkv
/// [B,T,3E], key and value caches [B,S,E], out [B,T,E], past int32 [1] with past+T <= S. If qkv is fp32, a
/// device that reads_host_memory() also takes both caches in bf16.
HIPGPT_OPERATION(attention_cached,
                 (Tensor out, Tensor keys, Tensor values, Tensor qkv, int heads, Tensor past),
                 (out, keys, values, qkv, heads, past))

// ---- Residual and dropout -------------------------------------------------------------------------------

/// y = x + dropout(branch); y and x may be the same tensor. Without x, y = dropout(branch), which also turns
/// the gradient of the sum into the gradient of the branch.   All [R,E].
HIPGPT_OPERATION(add_dropout, (Tensor y, Tensor x, Tensor branch, const Dropout& dropout),
                 (y, x, branch, dropout))

// ---- Loss -----------------------------------------------------------------------------------------------

/// losses[i] = log sum_j exp(z[i,j]) - z[i, target[i]].   logits z [R,V], whose rows may have a pitch,
/// targets int32 [R], losses [R].
HIPGPT_OPERATION(cross_entropy, (Tensor losses, Tensor logits, Tensor targets), (losses, logits, targets))

/// The same, and the gradient replaces z: z[i,j] = scale (softmax(z[i])_j - [j = target[i]]).
HIPGPT_OPERATION(cross_entropy_with_gradient, (Tensor losses, Tensor logits, Tensor targets, float scale),
                 (losses, logits, targets, scale))

// ---- Optimizer ------------------------------------------------------------------------------------------

/// out[i] = the bf16 nearest to x[i]; ties go to the even one.   x fp32 [n], out bf16 [n].
HIPGPT_OPERATION(round_to_bf16, (Tensor out, Tensor x), (out, x))

/// out[0] = sum_i x[i], summed in double.   x of any shape.
HIPGPT_OPERATION(sum, (Tensor out, Tensor x), (out, x))

/// out[0] = sqrt(sum_i x[i]^2), summed in double.   x of any shape.
HIPGPT_OPERATION(l2_norm, (Tensor out, Tensor x), (out, x))

/// One AdamW step over flat arrays of n parameters, with c = min(1, max_grad_norm / grad_norm[0]) and rates
/// [3] holding the learning rate lr, 1/(1-b1^t) and 1/(1-b2^t) of step t, counted from 1:
///   g = c grad;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
///   p -= lr ( (m/(1-b1^t)) / (sqrt(v/(1-b2^t)) + eps) + weight_decay p ).
/// If grad_norm[0] is not finite, nothing changes. `rounded`, if given, is bf16 [k], k <= n, and receives the
/// first k parameters, as round_to_bf16 would write them.
HIPGPT_OPERATION(adamw,
                 (Tensor params, Tensor rounded, Tensor grads, Tensor m, Tensor v, Tensor grad_norm,
                  Tensor rates, const AdamW& options),
                 (params, rounded, grads, m, v, grad_norm, rates, options))

// ---- Sampling -------------------------------------------------------------------------------------------

/// token[b] = a draw from logits[b]. In this order: repetition penalty (Keskar et al., 2019) for the tokens
/// i with seen[b,i] != 0, temperature, top-k (Fan et al., 2018), top-p (Holtzman et al., 2020), and draw n of
/// stream s, where (s, n) = draw[b]. The draw is a function of (seed, s, n). Among equal logits, the smaller
/// id ranks first. Then seen[b,token[b]] = 1 and n += 1. If a logit of row b is not finite, token[b] is -1.
/// logits [B,V], token int32 [B] or [B,1], draw int32 [B,2], seen int32 [B,V].
HIPGPT_OPERATION(sample, (Tensor token, Tensor logits, Tensor seen, Tensor draw, const Sampling& options),
                 (token, logits, seen, draw, options))

/// counters[i] += 1, int32 [n].
HIPGPT_OPERATION(increment, (Tensor counters), (counters))

#undef HIPGPT_LIST
#undef HIPGPT_OPERATION
