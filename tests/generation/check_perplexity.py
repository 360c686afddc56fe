#!/usr/bin/env python3
"""Compares generate --perplexity and --logprobs with the strided perplexity of Hugging Face transformers, on a small GPT-2.

    pip install torch transformers tokenizers
    check_perplexity.py BUILD

Trains a GPT-2-shaped model for a few steps, opens its checkpoint and tokenizer.json with the libraries, and compares.
Exits with status 77 if a library is missing.
"""
import json
import math
import os
import subprocess
import sys
import tempfile

try:
    import torch
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from transformers import GPT2Config, GPT2LMHeadModel
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

WINDOW = 16
BUILD = os.path.abspath(sys.argv[1])


def run(folder, program, *arguments):
    return subprocess.run([f"{BUILD}/{program}", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def train(folder):
    with open(f"{folder}/text.txt", "w", encoding="utf-8") as file:
        for i in range(16):
            file.write(f"line {i * i}: the king shall not sleep, while thunder rolls over {i} hills of h\u00f6hen.\n")
    run(folder, "train_gpt", "--data-path", "text.txt", "--vocab-size", "300", "--dim", "24", "--heads", "3", "--layers", "2",
        "--ff", "96", "--seq", str(WINDOW), "--activation", "gelu", "--final-layernorm", "true", "--tied-head", "true",
        "--head-bias", "false", "--steps", "60", "--batch", "8", "--lr", "0.01", "--threads", "1", "--device", "cpu")


def open_with_transformers(folder, vocab):
    config = GPT2Config(vocab_size=vocab, n_positions=WINDOW, n_embd=24, n_layer=2, n_head=3, n_inner=96,
                        activation_function="gelu_new")
    model = GPT2LMHeadModel(config)
    missing, unexpected = model.load_state_dict(load_file(f"{folder}/gpt_checkpoint.bin"), strict=False)
    assert not unexpected and all(name == "lm_head.weight" for name in missing), (missing, unexpected)
    model.tie_weights()
    return model.double().eval()


def strided_losses(model, ids, stride):
    """Follows the windows and labels of "Perplexity of fixed-length models" in transformers' documentation. The model gives
    the mean over the labels that are not -100 and have a token before them. The mean times the number of
    these labels is the sum."""
    total, count, previous_end = 0.0, 0, 0
    for begin in range(0, len(ids), stride):
        end = min(begin + WINDOW, len(ids))
        inputs = torch.tensor([ids[begin:end]])
        labels = inputs.clone()
        labels[:, :-(end - previous_end)] = -100
        scored = int((labels[:, 1:] != -100).sum())
        if scored > 0:
            with torch.no_grad():
                total += model(inputs, labels=labels).loss.item() * scored
        count += scored
        previous_end = end
        if end == len(ids):
            break
    return total, count


def check_perplexity(folder, model, ids):
    for stride in (3, WINDOW // 2, WINDOW - 1, WINDOW):
        ours = json.loads(run(folder, "generate", "--perplexity", "text.txt", "--stride", str(stride), "--json"))
        total, count = strided_losses(model, ids, stride)
        print(f"stride {stride}: {ours['perplexity']:.7f}, transformers {math.exp(total / count):.7f}, {count} tokens")
        assert ours["tokens"] == len(ids) and ours["scored"] == count
        assert abs(ours["loss"] - total / count) <= 1e-5 * ours["loss"]


def check_logprobs(folder, model):
    sample = json.loads(run(folder, "generate", "--prompt", "the king", "--num-tokens", "5", "--json", "--logprobs", "3"))
    tokens = sample["prompt_tokens"] + sample["tokens"]
    with torch.no_grad():
        expected = torch.log_softmax(model(torch.tensor([tokens])).logits[0], -1)
    ours = sample["prompt_logprobs"][1:] + [token["logprob"] for token in sample["logprobs"]]
    for i, logprob in enumerate(ours):
        assert abs(logprob - expected[i, tokens[i + 1]].item()) < 1e-4, i
    for i, token in enumerate(sample["logprobs"], len(sample["prompt_tokens"]) - 1):
        assert [other["token"] for other in token["likeliest"]] == torch.topk(expected[i], 3).indices.tolist(), i
    print(f"{len(ours)} log-probabilities agree")


def main():
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        train(folder)
        tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
        model = open_with_transformers(folder, tokenizer.get_vocab_size())
        with open(f"{folder}/text.txt", encoding="utf-8") as file:
            ids = tokenizer.encode(file.read()).ids
        check_perplexity(folder, model, ids)
        check_logprobs(folder, model)


if __name__ == "__main__":
    main()
