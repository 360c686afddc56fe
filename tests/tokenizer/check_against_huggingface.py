#!/usr/bin/env python3
"""Compares HipGPT's tokenizer with Hugging Face's `tokenizers` and OpenAI's `tiktoken` on any UTF-8 text.

    pip install tokenizers tiktoken
    check_against_huggingface.py TOOL VOCAB_SIZE TEXT...           trains on each text, and encodes it
    check_against_huggingface.py TOOL encoder.json vocab.bpe TEXT...   encodes each text with GPT-2's vocabulary

TOOL is the program built from tokenizer_tool.cpp. Exits with status 1 at the first difference.
"""

import array
import json
import os
import subprocess
import sys
import tempfile

import tiktoken
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def byte_of_character():
    """Returns GPT-2's alphabet: printable bytes stand for themselves, the others follow from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(0x100 + i): b for i, b in enumerate(others)}


def tiktoken_encoding(vocab):
    byte_of = byte_of_character()
    ranks = {bytes(byte_of[c] for c in token): id for token, id in vocab.items() if token != "<|endoftext|>"}
    return tiktoken.Encoding("peer", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={})


def train_peer(path, vocab_size):
    peer = Tokenizer(models.BPE())
    peer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    peer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    peer.train([path], trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False))
    return peer


def first_difference(ours, theirs):
    return next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))


def require_same(what, ours, theirs):
    if ours != theirs:
        i = first_difference(ours, theirs)
        sys.exit(f"{what}: differ at {i}: ours {ours[i:i + 5]}, theirs {theirs[i:i + 5]}")
    print(f"{what}: the same {len(ours)}")


def our_ids(command, folder):
    ids_path = os.path.join(folder, "ids")
    subprocess.run([*command, ids_path], check=True)
    ids = array.array("i")
    with open(ids_path, "rb") as file:
        ids.frombytes(file.read())
    return ids.tolist()


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def check_training(tool, vocab_size, path, folder):
    ours_json, theirs_json = os.path.join(folder, "ours.json"), os.path.join(folder, "theirs.json")
    subprocess.run([tool, "train", path, str(vocab_size), ours_json], check=True)
    peer = train_peer(path, vocab_size)
    peer.save(theirs_json)
    ours, theirs = json.load(open(ours_json))["model"], json.load(open(theirs_json))["model"]
    require_same(f"{path}: merges at {vocab_size}", ours["merges"], theirs["merges"])
    by_id = lambda vocab: sorted(vocab.items(), key=lambda item: item[1])
    require_same(f"{path}: vocabulary at {vocab_size}", by_id(ours["vocab"]), by_id(theirs["vocab"]))
    text = read(path)
    ids = our_ids([tool, "encode", theirs_json, path], folder)
    require_same(f"{path}: ids, and Hugging Face's", ids, peer.encode(text).ids)
    require_same(f"{path}: ids by Hugging Face with our file", Tokenizer.from_file(ours_json).encode(text).ids, ids)
    require_same(f"{path}: ids, and tiktoken's", ids, tiktoken_encoding(peer.get_vocab()).encode(text))


def check_gpt2(tool, vocab_path, merges_path, path, folder):
    ids = our_ids([tool, "encode-gpt2", vocab_path, merges_path, path], folder)
    theirs = tiktoken_encoding(json.load(open(vocab_path))).encode(read(path), disallowed_special=())
    require_same(f"{path}: ids with GPT-2's vocabulary, and tiktoken's", ids, theirs)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    tool, arguments = sys.argv[1], sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        if arguments[0].isdigit():
            for path in arguments[1:]:
                check_training(tool, int(arguments[0]), path, folder)
        else:
            for path in arguments[2:]:
                check_gpt2(tool, arguments[0], arguments[1], path, folder)


main()
