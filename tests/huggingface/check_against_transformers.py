#!/usr/bin/env python3
"""Checks models to and from Hugging Face's transformers: the same logits, greedy text, token ids and losses of training.

    pip install torch transformers tokenizers safetensors
    check_against_transformers.py --train-gpt PROGRAM --generate PROGRAM --tool PROGRAM [--gpt2-files VOCAB MERGES]

The PROGRAMs come from a build; --tool is tests/huggingface_tool. With GPT-2's vocabulary, which OpenAI published as
encoder.json and vocab.bpe, the model of 124 million parameters is compared too. Exits with status 1 at the first
difference, and with 77 if the libraries are not installed.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
try:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

END = "<|endoftext|>"
CONTEXT = 48
GPT2_SHAPED = ["--final-layernorm", "true", "--head-bias", "false"]
# Words, white space of all kinds, contractions, digits, scripts, marks and special tokens, whole and broken.
PIECES = [" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u0085", "\u2028", "\u3000", "\u200b", "\x1c", "\x00", "'s", "'ll", "'", "I'M",
          "the", " King", "1234", "½²", "!?", "--", "é", "e\u0301", "ß", "中文", "한국", "עברית", "\U0001F600", "👩‍🚀", "\U000E0101",
          "\uFFFD", "Ġ", END, "<|endof", "|>"]


def random_text(generator):
    def piece():
        if generator.random() < 0.7:
            return generator.choice(PIECES)
        code = generator.randrange(0x110000)
        return "?" if 0xD800 <= code < 0xE000 else chr(code)
    return "".join(piece() for _ in range(generator.randrange(1, 30)))


class Check:
    def __init__(self, programs, folder):
        self.programs, self.folder = programs, folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, program, *arguments):
        done = subprocess.run([program, *arguments], cwd=self.folder, capture_output=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{program} {' '.join(arguments)}: {done.stderr.decode()}")
        return done.stdout.decode()

    def generate(self, *arguments):
        return self.run(self.programs.generate, *arguments)

    def tool(self, what, folder, question):
        with open(self.path("question"), "w", encoding="utf-8") as file:
            json.dump(question, file)
        self.run(self.programs.tool, what, folder, self.path("question"), self.path("answer"))
        with open(self.path("answer"), "rb") as file:
            return file.read()

    def same_tokens(self, what, folder, texts):
        theirs = AutoTokenizer.from_pretrained(folder)
        ours = json.loads(self.tool("encode", folder, texts))
        for text, ids in zip(texts, ours):
            expected = theirs(text).input_ids
            if ids != expected:
                sys.exit(f"{what}: the ids of {text!r} are {ids}, but transformers gives {expected}")
            if theirs.decode(ids) != text:
                sys.exit(f"{what}: transformers decodes {text!r} as {theirs.decode(ids)!r}")
        print(f"{what}: the same ids of {len(texts)} texts")

    def same_model(self, what, folder, prompt="the king", count=20):
        """Compares the logits of random tokens to 1e-4, and the greedy text."""
        model, tokenizer = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)
        ids = torch.randint(0, len(tokenizer), (1, min(model.config.n_positions, 128)))
        with torch.no_grad():
            theirs = model(ids).logits[0, :, :len(tokenizer)]
        ours = torch.frombuffer(bytearray(self.tool("logits", folder, ids[0].tolist())), dtype=torch.float32).view(theirs.shape)
        difference = (ours - theirs).abs().max().item()
        if not difference <= 1e-4:
            sys.exit(f"{what}: logits differ by {difference}")
        inputs = tokenizer(prompt, return_tensors="pt").input_ids
        continued = model.generate(inputs, do_sample=False, max_new_tokens=count, pad_token_id=0, eos_token_id=None)
        expected = tokenizer.decode(continued[0])
        text = self.generate("--ckpt", folder, "--prompt", prompt, "--temp", "0", "--num-tokens", str(count), "--eos-id", "0")
        if text != expected + "\n":
            sys.exit(f"{what}: continued as {text!r}, but by transformers as {expected!r}")
        print(f"{what}: logits to {difference:.1e} of {theirs.abs().max().item():.1f}, and the same text")
        return text

    def same_training(self, what, folder, steps=4):
        """Compares the losses of steps on a text of exactly one sequence. Each depends on the gradients of those before it."""
        model, tokenizer = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)
        text = "the king and the queen read all the texts of"
        with open(self.path("sequence"), "w", encoding="utf-8") as file:
            file.write(text)
        ids = torch.tensor(tokenizer(text).input_ids)
        optimizer, theirs = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0), []
        for _ in range(steps):
            logits = model(ids[None, :-1]).logits[0, :, :len(tokenizer)]
            loss = torch.nn.functional.cross_entropy(logits, ids[1:])
            theirs.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self.run(self.programs.train_gpt, "--init-from", folder, "--data-path", "sequence", "--val-fraction", "0", "--batch", "1",
                 "--seq", str(len(ids) - 1), "--steps", str(steps), "--lr", "1e-3", "--min-lr", "1e-3", "--warmup-steps", "0",
                 "--weight-decay", "0", "--grad-clip", "0", "--log-every", "1", "--run-name", os.path.basename(folder))
        with open(os.path.join(self.path("checkpoints"), os.path.basename(folder), "metrics.jsonl"), encoding="utf-8") as file:
            ours = [line["loss"] for line in map(json.loads, file) if "loss" in line]
        difference = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
        if not difference <= 1e-4:
            sys.exit(f"{what}: the losses of {steps} steps are {ours}, but by transformers {theirs}")
        print(f"{what}: losses of {steps} steps to {difference:.1e}, from {theirs[0]:.4f} to {theirs[-1]:.4f}")

    def from_transformers(self):
        bpe = Tokenizer(models.BPE())
        bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        bpe.train([__file__], trainers.BpeTrainer(vocab_size=400, special_tokens=[END], show_progress=False,
                                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=END, eos_token=END)
        for name, changes, dtype in [("tied", {}, torch.float32), ("untied", {"tie_word_embeddings": False}, torch.float32),
                                     ("relu", {"activation_function": "relu", "n_inner": 72}, torch.float32),
                                     ("gelu", {"activation_function": "gelu"}, torch.float32),
                                     ("padded", {"vocab_size": 448}, torch.float32),
                                     ("f16", {}, torch.float16), ("bf16", {"tie_word_embeddings": False}, torch.bfloat16)]:
            config = GPT2Config(**{"vocab_size": 400, "n_positions": CONTEXT, "n_embd": 32, "n_layer": 2, "n_head": 4,
                                   "bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.3, **changes})
            folder = self.path("theirs_" + name)
            model = GPT2LMHeadModel(config)
            if name == "padded":  # the extra rows have no token and must never be drawn
                with torch.no_grad():
                    model.transformer.wte.weight[400:] = 0.0
            model.to(dtype).save_pretrained(folder, max_shard_size="40KB" if name == "untied" else "5GB")
            tokenizer.save_pretrained(folder)
            self.same_model(f"transformers' model, {name}", folder)
            self.generate("--ckpt", folder, "--export", folder + "_exported")
            self.same_model(f"transformers' model, {name}, exported again", folder + "_exported")
            if dtype == torch.float32:
                self.same_training(f"transformers' model, {name}", folder)
        self.same_tokens("transformers' tokenizer", self.path("theirs_tied"), self.texts(1000))

    def to_transformers(self):
        with open(__file__, encoding="utf-8") as source, open(self.path("text"), "w", encoding="utf-8") as text:
            text.write(source.read() + END)
        with open(self.path("text"), encoding="utf-8") as text, open(self.path("plain"), "w", encoding="utf-8") as other:
            other.write(text.read().replace(END, ""))
        for name, flags in [("tied", ["--tied-head", "true", "--activation", "gelu"]), ("untied", ["--activation", "gelu"]),
                            ("relu", ["--ff", "200"]), ("gelu_erf", ["--activation", "gelu_erf"]), ("without_end", [])]:
            data = "plain" if name == "without_end" else "text"
            self.run(self.programs.train_gpt, "--data-path", data, "--run-name", name, "--vocab-size", "600", "--steps", "60",
                     "--dim", "64", "--seq", str(CONTEXT), "--batch", "8", *GPT2_SHAPED, *flags)
            self.generate("--run-name", name, "--export", name)
            text = self.same_model(f"an export, {name}", self.path(name))
            tokenizer = AutoTokenizer.from_pretrained(self.path(name))
            if not tokenizer.bos_token == tokenizer.eos_token == END:  # lm-evaluation-harness and CTranslate2 need them
                sys.exit(f"an export, {name}: transformers finds no token that begins and ends a text")
            ours = self.generate("--run-name", name, "--prompt", "the king", "--temp", "0", "--num-tokens", "20", "--eos-id", "0")
            if ours != text:
                sys.exit(f"{name}: the checkpoint generates {ours!r}, but its export {text!r}")
        self.same_tokens("an export's tokenizer", self.path("tied"), self.texts(10000))

    def full_size(self, vocab, merges):
        """Checks GPT-2 as OpenAI published it, except for the weights: names without a prefix, and masks in the files."""
        folder = self.path("gpt2")
        GPT2LMHeadModel(GPT2Config()).transformer.save_pretrained(folder)
        for name, source in [("vocab.json", vocab), ("merges.txt", merges)]:
            os.symlink(os.path.abspath(source), os.path.join(folder, name))
        self.same_model("GPT-2 at its full size", folder)
        self.generate("--ckpt", folder, "--export", folder + "_exported")
        self.same_model("GPT-2 at its full size, exported", folder + "_exported")
        self.same_tokens("GPT-2's tokenizer", folder, self.texts(2000))
        self.same_tokens("GPT-2's tokenizer, exported", folder + "_exported", self.texts(10000))

    @staticmethod
    def texts(count):
        generator = random.Random(7)
        return [random_text(generator) for _ in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for program in ["--train-gpt", "--generate", "--tool"]:
        parser.add_argument(program, required=True, type=os.path.abspath)
    parser.add_argument("--gpt2-files", nargs=2)
    arguments = parser.parse_args()
    torch.manual_seed(3)
    with tempfile.TemporaryDirectory() as folder:
        check = Check(arguments, folder)
        check.from_transformers()
        check.to_transformers()
        if arguments.gpt2_files:
            check.full_size(*arguments.gpt2_files)


main()
