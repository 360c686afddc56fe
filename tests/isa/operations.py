"""The checks of run_kernels.py: they compare operations of hip_kernels.h on small inputs with formulas in double precision.

A check takes the emulated GPU. It returns the largest error, relative to the largest value, and the tolerance.
"""

import math

import numpy as np

FORWARD = 2e-6   # tolerance for results
GRADIENT = 1e-4  # tolerance for gradients
COMPUTE_UNITS = 4  # few, so that small matrices, which are quick to emulate, use the kernels for large ones

NONE, RELU, GELU, GELU_ERF = 0, 1, 2, 3

_random = np.random.default_rng(42)


def random(*shape):
    return (2 * _random.random(shape) - 1).astype(np.float32)


def unwritten(*shape):
    return np.full(shape, np.nan, np.float32)


# ---- bf16 ---------------------------------------------------------------------------------------------------

_bf16 = None  # in a bf16() check, the limits for errors of matrices and of everything else
_wide_result = False  # whether its linear() gives fp32


class Matrix(np.ndarray):
    """A float32 array that EmulatedGpu.call passes as bf16 if it is in a bf16() check. Its values are bf16 already."""
    is_matrix = True


def rounded(x):
    """The nearest bf16, in float32."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000).astype(np.uint32).view(np.float32)


def as_matrix(x):
    return (rounded(x) if _bf16 else np.asarray(x)).view(Matrix)


def matrix(*shape):
    return as_matrix(random(*shape))


def unwritten_matrix(*shape):
    return unwritten(*shape).view(Matrix)


def wide(x):
    return np.asarray(x).astype(np.float64)


def bf16(check, matrices=2 ** -7, others=2e-5, wide_result=False):
    """The check with bf16 matrices. Its result is the largest error in units of the limits."""
    def check_bf16(gpu):
        global _bf16, _wide_result
        _bf16, _wide_result = (matrices, others), wide_result
        gpu.bf16 = True
        gpu.call("set_dtype", 1, int(wide_result))
        try:
            error, _ = check(gpu)
        finally:
            _bf16, _wide_result = None, False
            gpu.bf16 = False
            gpu.call("set_dtype", 0, 0)
        return error, 1.0
    return check_bf16


def error_of(*pairs):
    """The largest error of (actual, expected) pairs, each relative to its largest expected value; infinite if not finite."""
    worst = 0.0
    for actual, expected in pairs:
        if not np.all(np.isfinite(actual)):
            return math.inf
        scale = max(np.max(np.abs(expected)), 1e-30)
        error = float(np.max(np.abs(wide(actual) - expected)) / scale)
        if _bf16:
            error /= _bf16[0] if isinstance(actual, Matrix) else _bf16[1]
        worst = max(worst, error)
    return worst


class Scratch:
    """The scratch memory of a stream, initially NaN."""

    def __init__(self, gpu, floats=1 << 20, compute_units=COMPUTE_UNITS):
        self.memory = unwritten(floats)
        gpu.call("set_stream", self.memory, np.int64(floats), compute_units)


# ---- Philox4x32-10, and dropout based on it -----------------------------------------------------------------

SEED, PASS, SITE = 0x123456789abcdef, 3, 2


def philox(counter, key):
    x = [int(c) for c in counter]
    key0, key1 = key
    for _ in range(10):
        product0, product1 = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [product1 >> 32 ^ x[1] ^ key0, product1 & 0xffffffff, product0 >> 32 ^ x[3] ^ key1, product0 & 0xffffffff]
        key0, key1 = (key0 + 0x9E3779B9) & 0xffffffff, (key1 + 0xBB67AE85) & 0xffffffff
    return x


def set_dropout(gpu, p):
    gpu.call("set_dropout", np.float32(p), np.uint64(SEED), PASS, SITE)


def dropout_factors(p, rows, width):
    """The factors [rows, width] of a dropout, 0 or 1/(1-p), as defined in operands.h."""
    if p == 0:
        return np.ones((rows, width))
    threshold = int(float(np.float32(p)) * 4294967296.0)
    bits = [[philox((j, row, PASS, 2 | SITE << 8), (SEED & 0xffffffff, SEED >> 32)) for j in range((width + 3) // 4)]
            for row in range(rows)]
    bits = np.array(bits, np.uint64).reshape(rows, -1)[:, :width]
    return np.where(bits < threshold, 0.0, 1 / (1 - float(np.float32(p))))


# ---- Matrix products ----------------------------------------------------------------------------------------

def normal_below(x):
    return 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def activated(kind, x):
    if kind == RELU:
        return np.maximum(x, 0)
    if kind == GELU:
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))
    if kind == GELU_ERF:
        return x * normal_below(x)
    return x


def activation_slope(kind, x):
    if kind == RELU:
        return (x > 0).astype(np.float64)
    if kind == GELU:
        inner = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3))
        return 0.5 * (1 + inner) + 0.5 * x * (1 - inner ** 2) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x ** 2)
    if kind == GELU_ERF:
        return normal_below(x) + x * np.exp(-x ** 2 / 2) / math.sqrt(2 * math.pi)
    return np.ones_like(x)


def linear(rows, out, inner, out_in=0, activation=NONE, with_bias=True, compute_units=COMPUTE_UNITS):
    def check(gpu):
        scratch = Scratch(gpu, compute_units=compute_units)
        x, w = matrix(rows, inner), matrix(out, inner) if out_in else matrix(inner, out)
        bias = random(out) if with_bias else None
        y = unwritten(rows, out) if _wide_result else unwritten_matrix(rows, out)
        slope = unwritten_matrix(rows, out) if with_bias and activation != NONE else None
        expected = wide(x) @ wide(w.T if out_in else w) + (bias if with_bias else 0)
        gpu.call("linear", y, x, w, out_in, bias, activation, slope, rows, out, inner)
        del scratch
        results = [(y, activated(activation, expected))]
        if slope is not None:
            results.append((slope, activation_slope(activation, expected)))
        return error_of(*results), FORWARD
    return check


def fused_linear(rows, out, inner, scaled=True, activation=NONE):
    def check(gpu):
        scratch = Scratch(gpu)
        x, w, bias = matrix(rows, inner), matrix(out, inner), random(out)
        residual = None if _wide_result else matrix(rows, out)
        y = unwritten(rows, out) if _wide_result else unwritten_matrix(rows, out)
        scale = 1 / np.sqrt(wide(x).var(1, keepdims=True) + 1e-5) if scaled else 1
        expected = activated(activation, scale * (wide(x) @ wide(w).T) + bias) + (0 if residual is None else wide(residual))
        gpu.call("fused_linear", y, residual, x, w, bias, int(scaled), activation, rows, out, inner)
        del scratch
        return error_of((y, expected)), FORWARD
    return check


def linear_backward(rows, out, inner, out_in=0, with_slope=False, with_bias=True, compute_units=COMPUTE_UNITS):
    def check(gpu):
        scratch = Scratch(gpu, compute_units=compute_units)
        shape = (out, inner) if out_in else (inner, out)
        dy, x, w, slope = matrix(rows, out), matrix(rows, inner), matrix(*shape), matrix(rows, inner)
        dx, dw, db = unwritten_matrix(rows, inner), random(*shape), random(out) if with_bias else None
        sums = random(inner) if with_slope else None
        wide_dy, wide_x = wide(dy), wide(x)
        expected_dx = wide_dy @ wide(w if out_in else w.T) * (wide(slope) if with_slope else 1)
        expected_dw = dw + (wide_dy.T @ wide_x if out_in else wide_x.T @ wide_dy)
        expected_db = db + wide_dy.sum(0) if with_bias else None
        sums_before = sums.copy() if with_slope else None
        gpu.call("linear_backward", dx, dw, db, dy, x, w, out_in, slope if with_slope else None, sums, rows, out, inner)
        del scratch
        results = [(dx, expected_dx), (dw, expected_dw)] + ([(db, expected_db)] if with_bias else [])
        if with_slope:
            results.append((sums, sums_before + wide(dx).sum(0)))
        return error_of(*results), FORWARD
    return check


def integers(*shape):
    return as_matrix(_random.integers(-4, 5, shape).astype(np.float32))


def product_is_exact(m, n, k, out_in=0, compute_units=COMPUTE_UNITS):
    """bf16 products of integers: fp32 sums must be exact, and results rounded to bf16 must be the nearest."""
    def check(gpu):
        scratch = Scratch(gpu, compute_units=compute_units)
        x, w, dy = integers(m, k), integers(n, k) if out_in else integers(k, n), integers(m, n)
        y, dx, dw = unwritten_matrix(m, n), unwritten_matrix(m, k), np.zeros(w.shape, np.float32)
        gpu.call("linear", y, x, w, out_in, None, NONE, None, m, n, k)
        gpu.call("linear_backward", dx, dw, None, dy, x, w, out_in, None, None, m, n, k)
        del scratch
        wide_w = wide(w).T if out_in else wide(w)
        expected_dw = wide(dy).T @ wide(x) if out_in else wide(x).T @ wide(dy)
        wrong = sum(int(np.sum(np.asarray(actual) != expected)) for actual, expected in
                    ((y, rounded(wide(x) @ wide_w)), (dx, rounded(wide(dy) @ wide_w.T)), (dw, expected_dw)))
        return float(wrong), 0.5
    return check


# ---- Embedding ----------------------------------------------------------------------------------------------

def embedding(batch, seq_len, width, vocab=11):
    def check(gpu):
        tokens, first = _random.integers(0, vocab, (batch, seq_len), np.int32), np.array([3], np.int32)
        wte, wpe, y = matrix(vocab, width), matrix(seq_len + 3, width), unwritten_matrix(batch, seq_len, width)
        gpu.call("embedding", y, tokens, wte, wpe, first, batch, seq_len, width, vocab, seq_len + 3)
        return error_of((y, wide(wte)[tokens] + wide(wpe)[3:3 + seq_len])), FORWARD
    return check


def embedding_backward(batch, seq_len, width, vocab=11):
    def check(gpu):
        scratch = Scratch(gpu)
        tokens, dy = _random.integers(0, vocab, (batch, seq_len), np.int32), matrix(batch, seq_len, width)
        dwte, dwpe = random(vocab, width), random(seq_len, width)
        expected_wte, expected_wpe = dwte.astype(np.float64), dwpe + wide(dy).sum(0)
        np.add.at(expected_wte, tokens, wide(dy))
        gpu.call("embedding_backward", dwte, dwpe, dy, tokens, batch, seq_len, width, vocab, seq_len)
        del scratch
        return error_of((dwte, expected_wte), (dwpe, expected_wpe)), FORWARD
    return check


# ---- LayerNorm ----------------------------------------------------------------------------------------------

def normalised(x):
    mean = x.mean(1, keepdims=True)
    rstd = 1 / np.sqrt(((x - mean) ** 2).mean(1, keepdims=True) + 1e-5)
    return (x - mean) * rstd, mean[:, 0], rstd[:, 0]


def layernorm(rows, width):
    def check(gpu):
        x, w, b = matrix(rows, width), random(width), random(width)
        y, mean, rstd = unwritten_matrix(rows, width), unwritten(rows), unwritten(rows)
        xh, expected_mean, expected_rstd = normalised(wide(x))
        gpu.call("layernorm", y, mean, rstd, x, w, b, rows, width)
        # The error of a mean near zero is relative to the values, which are at most 1.
        return error_of((y, xh * w + b), (1 + mean, 1 + expected_mean), (rstd, expected_rstd)), FORWARD
    return check


def residual_layernorm(rows, width, p=0.0):
    def check(gpu):
        x, branch, w, b = matrix(rows, width), matrix(rows, width), random(width), random(width)
        total, y = unwritten_matrix(rows, width), unwritten_matrix(rows, width)
        mean, rstd = unwritten(rows), unwritten(rows)
        expected = wide(x) + dropout_factors(p, rows, width) * wide(branch)
        if _bf16:
            expected = wide(rounded(expected))
        xh, expected_mean, expected_rstd = normalised(expected)
        set_dropout(gpu, p)
        gpu.call("residual_layernorm", total, y, mean, rstd, x, branch, w, b, rows, width)
        return error_of((total, expected), (y, xh * w + b), (1 + mean, 1 + expected_mean), (rstd, expected_rstd)), FORWARD
    return check


def layernorm_backward(rows, width):
    def check(gpu):
        scratch = Scratch(gpu)
        x, w, dy, dx = matrix(rows, width), random(width), matrix(rows, width), matrix(rows, width)
        dw, db, sums = random(width), random(width), random(width)
        xh, mean, rstd = normalised(wide(x))
        g = wide(dy) * w
        change = rstd[:, None] * (g - g.mean(1, keepdims=True) - xh * (g * xh).mean(1, keepdims=True))
        expected_dx = wide(dx) + change
        expected = expected_dx, dw + (wide(dy) * xh).sum(0), db + wide(dy).sum(0), sums + expected_dx.sum(0)
        gpu.call("layernorm_backward", dx, dw, db, dy, x, w, mean.astype(np.float32), rstd.astype(np.float32), sums, rows, width)
        del scratch
        return error_of(*zip((dx, dw, db, sums), expected)), GRADIENT
    return check


# ---- Attention ----------------------------------------------------------------------------------------------

def attention_reference(qkv, heads, p, dout=None):
    """Computes out, lse and, if dout is given, dqkv in double precision."""
    batch, seq_len, width = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    q, k, v = (x.reshape(batch, seq_len, heads, -1).swapaxes(1, 2) for x in np.split(wide(qkv), 3, axis=2))
    scale = 1 / math.sqrt(width // heads)
    scores = np.where(np.tri(seq_len, dtype=bool), q @ k.swapaxes(2, 3) * scale, -np.inf)
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - top)
    lse = (top + np.log(weights.sum(-1, keepdims=True)))[..., 0]
    probabilities = weights / weights.sum(-1, keepdims=True)
    factors = dropout_factors(p, batch * heads * seq_len, seq_len).reshape(batch, heads, seq_len, seq_len)

    def merge(x):
        return x.swapaxes(1, 2).reshape(batch, seq_len, width)
    out = merge(probabilities * factors @ v)
    if dout is None:
        return out, lse
    do = wide(dout).reshape(batch, seq_len, heads, -1).swapaxes(1, 2)
    dv = (probabilities * factors).swapaxes(2, 3) @ do
    dp = do @ v.swapaxes(2, 3) * factors
    ds = probabilities * (dp - (dp * probabilities).sum(-1, keepdims=True)) * scale
    return out, lse, np.concatenate([merge(ds @ k), merge(ds.swapaxes(2, 3) @ q), merge(dv)], axis=2)


def attention(batch, seq_len, heads, head_size, p=0.0, compute_units=COMPUTE_UNITS):
    def check(gpu):
        scratch = Scratch(gpu, compute_units=compute_units)
        width = heads * head_size
        qkv, out = matrix(batch, seq_len, 3 * width), unwritten_matrix(batch, seq_len, width)
        lse = unwritten(batch, heads, seq_len)
        set_dropout(gpu, p)
        gpu.call("attention", out, lse, qkv, batch, seq_len, heads, head_size)
        del scratch
        return error_of(*zip((out, lse), attention_reference(qkv, heads, p))), FORWARD
    return check


def attention_backward(batch, seq_len, heads, head_size, p=0.0, compute_units=COMPUTE_UNITS):
    def check(gpu):
        scratch = Scratch(gpu, compute_units=compute_units)
        width = heads * head_size
        qkv, dout = matrix(batch, seq_len, 3 * width), matrix(batch, seq_len, width)
        out, lse, expected = attention_reference(qkv, heads, p, dout)
        dqkv, sums = unwritten_matrix(batch, seq_len, 3 * width), random(3 * width)
        sums_before = sums.copy()
        set_dropout(gpu, p)
        gpu.call("attention_backward", dqkv, dout, qkv, as_matrix(out.astype(np.float32)), lse.astype(np.float32), sums, batch,
                 seq_len, heads, head_size)
        del scratch
        return error_of((dqkv, expected), (sums, sums_before + wide(dqkv).sum((0, 1)))), GRADIENT
    return check


def attention_cached(past, count, heads, head_size, capacity, batch=1):
    def check(gpu):
        scratch = Scratch(gpu)
        width = heads * head_size
        qkv = matrix(batch, past + count, 3 * width)
        keys, values = unwritten_matrix(batch, capacity, width), unwritten_matrix(batch, capacity, width)
        keys[:, :past], values[:, :past] = qkv[:, :past, width:2 * width], qkv[:, :past, 2 * width:]
        out, new = unwritten_matrix(batch, count, width), as_matrix(np.ascontiguousarray(qkv[:, past:]))
        gpu.call("attention_cached", out, keys, values, new, batch, count, heads, head_size, capacity, np.array([past], np.int32))
        expected, _ = attention_reference(qkv, heads, 0.0)
        del scratch
        return error_of((out, expected[:, past:]), (keys[:, :past + count], wide(qkv[:, :, width:2 * width])),
                        (values[:, :past + count], wide(qkv[:, :, 2 * width:]))), FORWARD
    return check


# ---- Dropout, loss, optimizer -------------------------------------------------------------------------------

def add_dropout(rows, width, p):
    def check(gpu):
        x, branch, y = matrix(rows, width), matrix(rows, width), unwritten_matrix(rows, width)
        set_dropout(gpu, p)
        gpu.call("add_dropout", y, x, branch, rows, width)
        return error_of((y, wide(x) + dropout_factors(p, rows, width) * wide(branch))), FORWARD
    return check


def cross_entropy(rows, vocab, gradient):
    def check(gpu):
        logits, targets = as_matrix(4 * random(rows, vocab)), _random.integers(0, vocab, rows, np.int32)
        losses, z = unwritten(rows), wide(logits)
        top = z.max(1, keepdims=True)
        total = np.exp(z - top).sum(1, keepdims=True)
        expected = (top + np.log(total))[:, 0] - z[np.arange(rows), targets]
        if not gradient:
            gpu.call("cross_entropy", losses, logits, targets, rows, vocab)
            return error_of((losses, expected), (logits, z)), FORWARD
        slope = np.exp(z - top) / total
        slope[np.arange(rows), targets] -= 1
        gpu.call("cross_entropy_with_gradient", losses, logits, targets, np.float32(0.25), rows, vocab)
        return error_of((losses, expected), (logits, 0.25 * slope)), FORWARD
    return check


def total(operation, n, offset=0):
    def check(gpu):
        scratch = Scratch(gpu)
        x, out = random(n + offset)[offset:], unwritten(1)
        gpu.call(operation, out, x, np.int64(n))
        x = x.astype(np.float64)
        del scratch
        # The error of a sum of numbers of both signs is relative to the sum of their magnitudes.
        scale = np.abs(x).sum() if operation == "sum" else math.sqrt((x * x).sum())
        return abs(float(out[0]) - (x.sum() if operation == "sum" else scale)) / scale, FORWARD
    return check


def adamw(n, offset=0, norm=2.0):
    def check(gpu):
        parameters, gradients, m, v = (random(n + offset)[offset:] for _ in range(4))
        np.abs(v, out=v)
        rate, scale1, scale2, decayed = np.float32(0.01), np.float32(1 / (1 - 0.9 ** 3)), np.float32(1 / (1 - 0.99 ** 3)), n // 2
        b1, b2, epsilon, decay, limit = (np.float32(x) for x in (0.9, 0.99, 1e-8, 0.1, 1.0))
        p, g, m_expected, v_expected = (x.astype(np.float64) for x in (parameters, gradients, m, v))
        if np.isfinite(norm):
            g = g * min(1.0, limit / norm)
            m_expected = b1 * m_expected + (1 - b1) * g
            v_expected = b2 * v_expected + (1 - b2) * g * g
            p = p - rate * (m_expected * scale1 / (np.sqrt(v_expected * scale2) + epsilon)
                            + np.where(np.arange(n) < decayed, decay, 0) * p)
        copy = np.zeros(decayed, np.uint16)
        gpu.call("adamw", parameters, copy, gradients, m, v, np.array([norm], np.float32), np.array([rate, scale1, scale2]),
                 b1, b2, epsilon, decay, limit, np.int64(decayed), np.int64(n))
        if np.any(copy.astype(np.uint32) << 16 != (rounded(parameters[:decayed]).view(np.uint32) if np.isfinite(norm) else 0)):
            raise AssertionError("the copy is not the rounded parameters")
        return error_of((parameters, p), (m, m_expected), (v, v_expected)), FORWARD
    return check


def round_to_bf16(n, offset=0):
    def check(gpu):
        x, out = random(n + offset)[offset:], np.zeros(n, np.uint16)
        gpu.call("round_to_bf16", out, x, np.int64(n))
        return float(np.sum(out.astype(np.uint32) << 16 != rounded(x).view(np.uint32))), 0.5
    return check


# ---- Sampling -----------------------------------------------------------------------------------------------

def expected_draw(logits, seen, draw, top_k, top_p, temperature, penalty):
    """The token that the rules of `sample` in operations.h give for one sequence."""
    z, vocab = logits, len(logits)
    if penalty != 1.0:
        factor = np.float32(penalty)
        z = np.where(seen != 0, np.where(z > 0, z / factor, z * factor), z)
    order = np.lexsort((np.arange(vocab), -z))
    if temperature == 0:
        return order[0]
    order = order[:top_k or vocab]
    sums = np.cumsum(np.exp((z[order].astype(np.float64) - z[order[0]]) / temperature))
    kept = int(np.searchsorted(sums, top_p * sums[-1])) + 1 if top_p < 1 else len(order)
    stream, number = (int(word) for word in draw)
    bits = philox((number, stream, 0, 3), (SEED & 0xffffffff, SEED >> 32))
    uniform = ((bits[1] << 32 | bits[0]) >> 11) * 2.0 ** -53
    return order[int(np.searchsorted(sums, uniform * sums[kept - 1], side="right"))]


def sample(vocab, top_k, top_p, temperature, penalty=1.0, draws=3, batch=1):
    """Checks that the drawn tokens are exactly those of expected_draw()."""
    def check(gpu):
        logits, seen = 3 * random(batch, vocab), _random.integers(0, 2, (batch, vocab), np.int32)
        draw = np.array([[4 * b, 5 + b] for b in range(batch)], np.int32)
        token = np.full(batch, -7, np.int32)
        scratch = Scratch(gpu)
        for _ in range(draws):
            expected = np.array([expected_draw(logits[b], seen[b], draw[b], top_k, top_p, temperature, penalty)
                                 for b in range(batch)])
            seen_after, draw_after = seen.copy(), draw + np.array([0, 1], np.int32)
            seen_after[np.arange(batch), expected] = 1
            gpu.call("sample", token, logits, seen, draw, batch, vocab, top_k, np.float64(top_p), np.float64(temperature),
                     np.float64(penalty), np.uint64(SEED))
            if np.any(token != expected) or np.any(draw != draw_after) or np.any(seen != seen_after):
                raise AssertionError(f"tokens {token} instead of {expected}, next draws {draw.tolist()}")
        return 0.0, FORWARD
    return check


def increment(count):
    def check(gpu):
        counters = np.arange(count, dtype=np.int32)
        gpu.call("increment", counters, count)
        return error_of((counters, np.arange(1, count + 1))), FORWARD
    return check


# ---- Sizes: the smallest that reach every kernel, including odd ones ----------------------------------------

def all_checks():
    """All checks, as (name, check)."""
    checks = []

    def name_of(operation, arguments, options):
        return " ".join([operation.__name__, *map(str, arguments), *(f"{key}={value}" for key, value in options.items())])

    def add(operation, *arguments, **options):
        checks.append((name_of(operation, arguments, options), operation(*arguments, **options)))

    def add_bf16(operation, *arguments, limit=2 ** -7, wide_result=False, **options):
        check = bf16(operation(*arguments, **options), limit, wide_result=wide_result)
        checks.append(("bf16 " + name_of(operation, arguments, options) + " fp32 result" * wide_result, check))

    # Tiles of 32, 64 and 128 (fewer compute units give larger tiles), with aligned and unaligned rows, in every layout.
    # y [m,n] and dW [m,n] are sums over k.
    for units, m, n, k in ((64, 36, 40, 36), (64, 33, 35, 7), (4, 132, 68, 20), (4, 67, 129, 9), (1, 132, 132, 12), (1, 5, 131, 9)):
        for out_in in (0, 1):
            add(linear, m, n, k, out_in, with_bias=False, compute_units=units)
        add(linear_backward, k, n, m, with_bias=False, compute_units=units)
    add(linear, 20, 24, 520, with_bias=False, compute_units=8)  # k in parts
    for out, inner in ((68, 52), (35, 37)):
        for out_in in (0, 1):
            add(linear, 1, out, inner, out_in)
    add(linear, 33, 40, 12, 0, GELU)
    add(linear, 9, 7, 5, 1, RELU)
    add(linear_backward, 33, 12, 40, 0, True)
    add(linear, 33, 40, 12, 1, GELU_ERF)
    add(linear_backward, 33, 12, 40, 1, True)
    add(linear_backward, 9, 7, 5, 1, True)
    add(linear_backward, 515, 33, 8)  # column sums in parts

    for width in (8, 7):
        add(embedding, 2, 5, width)
        add(embedding_backward, 2, 5, width)
        add(embedding_backward, 3, 100, width)

    for width in (8, 260, 131, 301, 516, 514, 1028, 1030, 2052, 2049):
        add(layernorm, 2, width)
    for width in (8, 7, 300, 301, 600, 601, 1100, 1101, 2100, 2101):
        add(residual_layernorm, 2, width, 0.25)
        add(layernorm_backward, 3, width)
    for width in (8200, 8201):  # wider than a row in registers
        add(layernorm, 1, width)
        add(residual_layernorm, 1, width, 0.25)
        add(layernorm_backward, 1, width)

    for head_size in (16, 32, 64, 128, 256):
        add(attention, 1, 19, 2, head_size)
        add(attention_backward, 1, 19, 1, head_size)
        add(attention_backward, 1, 67, 1, head_size, p=0.25, compute_units=64)
        add(attention_cached, 5, 1, 1, head_size, 16)
        add(attention_cached, 5, 1, 1, head_size, 256)
        if head_size <= 64:
            add(attention, 1, 100, 1, head_size, compute_units=1)
    add(attention, 2, 70, 1, 7, p=0.25)
    add(attention, 1, 1, 1, 1)
    add(attention_backward, 2, 35, 1, 7, p=0.25)
    add(attention_cached, 0, 5, 2, 20, 9)
    add(attention_cached, 4, 5, 2, 9, 9)
    add(attention_cached, 4, 3, 1, 16, 9, batch=2)
    add(attention_cached, 6, 1, 2, 16, 9, batch=3)

    for width in (8, 7):
        add(add_dropout, 3, width, 0.25)
        add(add_dropout, 3, width, 0.0)
    for vocab in (5, 130, 131, 1000, 16388):
        for gradient in (False, True):
            add(cross_entropy, 3 if vocab < 10000 else 1, vocab, gradient)
    for operation in ("sum", "l2_norm"):
        for n, offset in ((1000, 0), (1001, 1), (70001, 0), (70001, 1)):
            add(total, operation, n, offset)
    add(adamw, 1000)
    add(adamw, 37, offset=1)
    add(adamw, 100, norm=math.inf)

    add(sample, 300, 5, 1.0, 0.8)
    add(sample, 301, 0, 0.7, 1.3, penalty=1.5)
    add(sample, 1031, 50, 0.9, 1.0)
    add(sample, 50, 0, 1.0, 0.0, penalty=1.2)
    add(sample, 40, 0, 1.0, 1.0, draws=2, batch=3)
    add(increment, 5)
    add(round_to_bf16, 1003)
    add(round_to_bf16, 1003, offset=1)

    # bf16: tiles of 64 and of 128, in every layout, with edges inside tiles and inside packs of eight.
    for units, m, n, k in ((1, 136, 136, 72), (1, 264, 136, 200), (64, 72, 80, 72), (4, 67, 129, 9)):
        for out_in in (0, 1):
            add_bf16(product_is_exact, m, n, k, out_in, compute_units=units)
    add_bf16(product_is_exact, 40, 24, 520, compute_units=64)  # k in parts
    add_bf16(linear, 136, 136, 72, 0, GELU, compute_units=1)
    add_bf16(linear_backward, 72, 80, 72, 0, True)
    add_bf16(linear, 136, 136, 72, 1, GELU_ERF, compute_units=1)
    add_bf16(linear_backward, 72, 80, 72, 1, True)
    add_bf16(linear_backward, 33, 12, 40, 1, True)
    for out_in in (0, 1):
        for out, inner in ((68, 52), (35, 37)):
            add_bf16(linear, 1, out, inner, out_in)
            add_bf16(linear, 9, out, inner, out_in, with_bias=False, wide_result=True)
        add_bf16(linear, 1, 64, 64, out_in)
        add_bf16(linear, 1, 64, 64, out_in, with_bias=False, wide_result=True)
        add_bf16(linear, 72, 72, 72, out_in, with_bias=False, wide_result=True)
        add_bf16(linear, 1, 35, 37, out_in, with_bias=False, wide_result=True)
    add_bf16(linear, 40, 24, 520, 0, with_bias=False, compute_units=64, wide_result=True)
    for rows, out, inner in ((1, 21, 768), (2, 9, 1024), (1, 7, 2080), (1, 8, 3072), (3, 20, 96), (9, 33, 64), (32, 20, 1056), (33, 8, 64)):
        add_bf16(fused_linear, rows, out, inner, True, GELU)
        add_bf16(fused_linear, rows, out, inner, False)
    add_bf16(fused_linear, 1, 20, 768, False, wide_result=True)
    add_bf16(fused_linear, 5, 20, 64, False, wide_result=True)
    for head_size in (32, 64, 96, 128, 256):
        add_bf16(attention, 1, 150, 1, head_size)
        add_bf16(attention_backward, 1, 150, 1, head_size, limit=2 ** -6)
    for head_size in (16, 40, 72, 128):
        add_bf16(attention, 2, 35, 2, head_size, p=0.25)
        add_bf16(attention_backward, 2, 35, 2, head_size, p=0.25, limit=2 ** -6)
    for head_size in (7, 33):  # which matrix cores do not take
        add_bf16(attention, 1, 35, 1, head_size)
        add_bf16(attention, 1, 100, 1, head_size, compute_units=1)
    for head_size in (33, 65):
        add_bf16(attention_backward, 1, 67, 1, head_size, p=0.25, compute_units=64, limit=2 ** -6)
    add_bf16(attention, 1, 35, 1, 7, p=0.25)
    add_bf16(attention_backward, 1, 35, 1, 7, p=0.25, limit=2 ** -6)
    for head_size in (16, 64, 100, 256):
        add_bf16(attention_cached, 5, 1, 1, head_size, 16)
        add_bf16(attention_cached, 5, 1, 1, head_size, 256)
        add_bf16(attention_cached, 70, 5, 2, head_size, 80)
    for width in (8, 7):
        add_bf16(embedding, 2, 5, width)
        add_bf16(embedding_backward, 3, 100, width)
        add_bf16(add_dropout, 3, width, 0.25)
    for width in (8, 131, 264, 301, 512, 514, 600, 1032, 1101, 2050, 2104, 4104, 8200, 8201):
        add_bf16(layernorm, 2, width)
        add_bf16(residual_layernorm, 2, width, 0.25)
        add_bf16(layernorm_backward, 3, width)
    for vocab in (5, 130, 1000, 1001, 16392, 16388, 40000):
        for gradient in (False, True):
            add_bf16(cross_entropy, 2 if vocab < 10000 else 1, vocab, gradient)
    return checks
