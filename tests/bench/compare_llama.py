#!/usr/bin/env python3
"""Decoding of GPT-2 124M at batch 1 on the CPU, beside llama.cpp's and transformers', in turns.

    apt-get install llama.cpp        (Debian unstable; or set LLAMA_BENCH to the command of its llama-bench)
    pip install gguf numpy
    tests/bench/compare_llama.py [BUILD] [THREADS] [ROUNDS] [FOLDER]

The speed does not depend on the values of the weights, so they are random. FOLDER (compare_llama.models) keeps the
models: 0.5 GB for HipGPT, and 0.9 GB for llama.cpp in F32, F16 and Q8_0. A round generates 128 tokens after a prompt of
16 with each program and format, then reads a prompt of 512 tokens. If torch and transformers can be imported,
transformers takes its turn in fp32. Prints the medians and the ratios of each round. Before the rounds it prints, of one
run of HipGPT in each format, the time from the start of the program to the prompt, and the peak of its memory."""
import json
import os
import re
import statistics
import struct
import subprocess
import sys
import time

V, S, E, L, H, F = 50257, 1024, 768, 12, 12, 3072
PROMPT, TOKENS, LONG = 16, 128, 512
PAIRS = {"fp32": "F32", "bf16": "F16", "int8": "Q8_0"}  # HipGPT's --weights, and llama.cpp's type
GGUF_NAMES = {"attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
              "ln_1": "attn_norm", "ln_2": "ffn_norm"}


def make_vocabulary():
    """The 256 characters of byte-level BPE, 50,000 pairs of them, and <|endoftext|>."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    characters = [chr(b if b in printable else next(others)) for b in range(256)]
    merges = [(a, b) for a in characters for b in characters][:50000]
    return characters + [a + b for a, b in merges] + ["<|endoftext|>"], [f"{a} {b}" for a, b in merges]


def make_weights():
    import numpy
    generator = numpy.random.default_rng(1)
    matrix = lambda *shape: generator.standard_normal(shape, dtype=numpy.float32) * 0.02
    ones, zeros = (lambda n: numpy.ones(n, numpy.float32)), (lambda n: numpy.zeros(n, numpy.float32))
    weights = {"wte.weight": matrix(V, E), "wpe.weight": matrix(S, E), "ln_f.weight": ones(E), "ln_f.bias": zeros(E)}
    for layer in range(L):
        for name, fan_in, fan_out in (("attn.c_attn", E, 3 * E), ("attn.c_proj", E, E), ("mlp.c_fc", E, F),
                                      ("mlp.c_proj", F, E)):
            weights[f"h.{layer}.{name}.weight"] = matrix(fan_in, fan_out)
            weights[f"h.{layer}.{name}.bias"] = zeros(fan_out)
        for name in ("ln_1", "ln_2"):
            weights[f"h.{layer}.{name}.weight"], weights[f"h.{layer}.{name}.bias"] = ones(E), zeros(E)
    return weights


def write_folder(folder, weights, vocabulary, merges):
    end = {"id": V - 1, "content": "<|endoftext|>", "single_word": False, "lstrip": False, "rstrip": False,
           "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
             "fuse_unk": False, "byte_fallback": False, "vocab": {t: i for i, t in enumerate(vocabulary)}, "merges": merges}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [end], "normalizer": None,
                 "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level, "model": model}
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": V, "n_positions": S, "n_embd": E,
              "n_layer": L, "n_head": H, "n_inner": F, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
              "tie_word_embeddings": True, "bos_token_id": V - 1, "eos_token_id": V - 1}
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, values in weights.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in weights.values():
            file.write(values.tobytes())
    for name, content in (("tokenizer.json", tokenizer), ("config.json", config)):
        with open(os.path.join(folder, name), "w") as file:
            json.dump(content, file)


def write_gguf(path, kind, weights, vocabulary, merges):
    import gguf
    import numpy
    type_of = gguf.GGMLQuantizationType[kind]
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_context_length(S)
    writer.add_embedding_length(E)
    writer.add_block_count(L)
    writer.add_feed_forward_length(F)
    writer.add_head_count(H)
    writer.add_layer_norm_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([1] * (V - 1) + [3])
    writer.add_token_merges(merges)
    writer.add_eos_token_id(V - 1)
    names = {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm"}
    for name, values in weights.items():
        stem, end = name.rsplit(".", 1)
        if stem.startswith("h."):
            _, layer, part = stem.split(".", 2)
            stem = f"blk.{layer}.{GGUF_NAMES[part]}"
            values = numpy.ascontiguousarray(values.T)
        name = f"{names.get(stem, stem)}.{end}"
        if kind == "F32" or values.ndim == 1 or stem == "wpe":
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quants.quantize(values, type_of), raw_dtype=type_of)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_models(folder):
    done = os.path.join(folder, "done")
    if os.path.exists(done):
        return
    os.makedirs(folder, exist_ok=True)
    weights, (vocabulary, merges) = make_weights(), make_vocabulary()
    write_folder(folder, weights, vocabulary, merges)
    for kind in PAIRS.values():
        write_gguf(os.path.join(folder, f"{kind}.gguf"), kind, weights, vocabulary, merges)
    open(done, "w").close()


def hipgpt_run(build, folder, threads, weights, prompt, tokens):
    """Seconds for the prompt and the tokens, seconds before that, and the peak of memory in MiB."""
    text = "qq" * prompt  # a token is a pair of characters
    command = [os.path.join(build, "generate"), "--ckpt", folder, "--prompt", text, "--temp", "0", "--threads",
               str(threads), "--weights", weights, "--device", "cpu", "--num-tokens", str(tokens)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    report = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    assert status == 0, report
    seconds = float(re.search(r" tokens? in ([\d.]+) s", report)[1])
    return seconds, wall - seconds, usage.ru_maxrss / 1024


def hipgpt_speed(build, folder, threads, weights):
    """The difference of two runs leaves out the prompt."""
    seconds = [hipgpt_run(build, folder, threads, weights, PROMPT, n)[0] for n in (1, 1 + TOKENS)]
    return TOKENS / (seconds[1] - seconds[0])


def llama_speed(folder, threads, kind, prompt, tokens):
    """Tokens per second, of a prompt or of what is generated."""
    model = os.path.join(os.environ.get("LLAMA_MODELS", folder), f"{kind}.gguf")  # as llama-bench sees the folder
    command = [*os.environ.get("LLAMA_BENCH", "llama-bench").split(), "-m", model, "-t", threads, "-p", str(prompt), "-n",
               str(tokens), "-r", "1", "-o", "json"]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]["avg_ts"]


def load_transformers(folder, threads):
    """Returns a function that measures tokens per second, or None."""
    try:
        import torch
        from transformers import GPT2LMHeadModel
    except ImportError:
        return None
    torch.set_num_threads(int(threads))
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()

    def speed():
        seconds = []
        for tokens in (1, 1 + TOKENS):
            start = time.perf_counter()
            with torch.inference_mode():
                model.generate(torch.full((1, PROMPT), 7), attention_mask=torch.ones(1, PROMPT, dtype=torch.long),
                               do_sample=False, min_new_tokens=tokens, max_new_tokens=tokens, pad_token_id=V - 1)
            seconds.append(time.perf_counter() - start)
        return TOKENS / (seconds[1] - seconds[0])

    return speed


def print_ratios(what, ours, theirs, name, peer, digits=1):
    ratios = sorted(a / b for a, b in zip(ours, theirs))
    print(f"{what}: HipGPT {name} {statistics.median(ours):.{digits}f}, {peer} {statistics.median(theirs):.{digits}f}; "
          f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})", flush=True)


def main():
    arguments = sys.argv[1:]
    build, threads, rounds, folder = [*arguments, *["build", "2", "5", "compare_llama.models"][len(arguments):]]
    make_models(folder)
    print(f"GPT-2 124M, batch 1, {threads} threads")
    for weights in PAIRS:  # while this program is small: a child's peak includes that of its parent
        _, load, memory = hipgpt_run(build, folder, threads, weights, PROMPT, TOKENS)
        print(f"HipGPT {weights}: {load:.2f} s to start, {memory:.0f} MiB at most", flush=True)
    transformers, transformers_speeds = load_transformers(folder, threads), []
    ours, theirs, first, their_first = ({w: [] for w in PAIRS} for _ in range(4))
    for _ in range(int(rounds)):
        for weights, kind in PAIRS.items():
            ours[weights].append(hipgpt_speed(build, folder, threads, weights))
            theirs[weights].append(llama_speed(folder, threads, kind, 0, TOKENS))
            first[weights].append(hipgpt_run(build, folder, threads, weights, LONG, 1)[0])
            their_first[weights].append(LONG / llama_speed(folder, threads, kind, LONG, 0))
        if transformers:
            transformers_speeds.append(transformers())
    for weights, kind in PAIRS.items():
        print_ratios("tokens/s", ours[weights], theirs[weights], weights, f"llama.cpp {kind}")
        if transformers:
            print_ratios("tokens/s", ours[weights], transformers_speeds, weights, "transformers fp32")
        print_ratios(f"s for a prompt of {LONG}", first[weights], their_first[weights], weights, f"llama.cpp {kind}", 2)


main()
