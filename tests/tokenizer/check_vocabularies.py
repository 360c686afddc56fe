#!/usr/bin/env python3
"""Compares the ids of HipGPT with those of Hugging Face's `tokenizers` and of `tiktoken`, for every kind of vocabulary.

    pip install tokenizers tiktoken
    check_vocabularies.py TOOL [--texts N] [--seed S]

TOOL is the program built from tokenizer_tool.cpp. The texts have 27 scripts and more, code, emoji, digits, marks, white space,
random bytes and characters of every category (vocabularies.py). Exits with status 1 at the first difference and with status
77, which means skipped, if a library is missing.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

try:
    import tiktoken
    import tiktoken_ext.openai_public as published
    from tokenizers import Tokenizer
    import vocabularies
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

def our_results(tool, command, name, texts, folder):
    """Runs a command of the tool: "words" of a pretokenizer, or "encode-each" with a vocabulary."""
    texts_path, results_path = os.path.join(folder, "texts.json"), os.path.join(folder, "results.json")
    with open(texts_path, "w", encoding="utf-8") as file:
        json.dump(texts, file)
    subprocess.run([tool, command, name, texts_path, results_path], check=True)
    with open(results_path, encoding="utf-8") as file:
        return json.load(file)


def require_same(what, texts, ours, theirs):
    for text, a, b in zip(texts, ours, theirs):
        if a != b:
            sys.exit(f"{what}: differs for {text!r}: ours {a!r}, theirs {b!r}")
    print(f"{what}: the same for {len(texts)} texts, {sum(map(len, ours))} in all")


def check_words(tool, name, texts, folder):
    cut = vocabularies.VOCABULARIES[name][0].pre_tokenize_str
    theirs = [[len(word) for word, _ in cut(text)] for text in texts]
    require_same(f"{name}: sizes of words", texts, our_results(tool, "words", name, texts, folder), theirs)


def check_tokenizers(tool, name, texts, folder):
    path, saved = os.path.join(folder, f"{name}.json"), os.path.join(folder, f"{name}.ours.json")
    peer = vocabularies.learn(name, 1200, vocabularies.corpus(1))
    peer.save(path)
    results = our_results(tool, "encode-each", path, texts, folder)
    ids = [peer.encode(text).ids for text in texts]
    require_same(f"{name}: ids, and tokenizers'", texts, [ours for ours, _ in results], ids)
    if peer.normalizer is None:
        require_same(f"{name}: decoded texts", texts, [text for _, text in results], texts)
    else:
        check_normalizer(tool, f"{name}: normalized texts", peer, path, folder)
    subprocess.run([tool, "convert", path, saved], check=True)
    require_same(f"{name}: ids by tokenizers with our file", texts,
                 [encoding.ids for encoding in Tokenizer.from_file(saved).encode_batch(texts)], ids)
    return peer


def check_normalizer(tool, what, peer, path, folder):
    """Marks of every class before and after each character show its class and what it combines with."""
    texts = [f"a\u0301{c}\u0345{c}\u0323{c}\u0334{c}\u05b0 {c}\u0307{c}\u0308{c}{c}" for c in vocabularies.characters()]
    texts = ["".join(texts[begin:begin + 500]) for begin in range(0, len(texts), 500)]
    decoded = [text for _, text in our_results(tool, "encode-each", path, texts, folder)]
    require_same(what, texts, decoded, [peer.normalizer.normalize_str(text) for text in texts])


def check_tiktoken(tool, name, peer, texts, folder):
    """Writes the tokens as a file of tiktoken's. The texts have no special tokens here."""
    file_name, pattern, normalize = {
        "gpt2": ("my_r50k.tiktoken", published.r50k_pat_str, str),
        "cl100k": ("my_cl100k_base.tiktoken", published_pattern("cl100k_base"), str),
        "o200k": ("o200k_base.tiktoken", published_pattern("o200k_base"), str),
        "llama3": ("Llama3.tiktoken", vocabularies.LLAMA3, str),
        "qwen2": ("qwen.tiktoken", vocabularies.QWEN2, peer.normalizer and peer.normalizer.normalize_str),
    }[name]
    ranks = vocabularies.ranks_of(peer)
    path, saved = os.path.join(folder, file_name), os.path.join(folder, "saved.json")
    with open(path, "w") as file:
        file.write(vocabularies.tiktoken_file(ranks))
    encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    theirs = [encoding.encode_ordinary(normalize(text)) for text in texts]
    ours = [ids for ids, _ in our_results(tool, "encode-each", path, texts, folder)]
    require_same(f"{file_name}: ids, and tiktoken's", texts, ours, theirs)
    subprocess.run([tool, "convert", path, saved], check=True)
    theirs = [encoding.ids for encoding in Tokenizer.from_file(saved).encode_batch(texts)]
    require_same(f"{file_name}: ids by tokenizers with our file", texts, ours, theirs)


def published_pattern(name):
    """Returns the pattern of an encoding without its vocabulary, which would be downloaded."""
    load = published.load_tiktoken_bpe
    published.load_tiktoken_bpe = lambda *_, **__: {}
    try:
        return published.ENCODING_CONSTRUCTORS[name]()["pat_str"]
    finally:
        published.load_tiktoken_bpe = load


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool")
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    texts = vocabularies.make_texts(random.Random(options.seed), options.texts)
    in_context = list(vocabularies.characters_in_context())
    with tempfile.TemporaryDirectory() as folder:
        for name, (_, normalizer, _) in vocabularies.VOCABULARIES.items():
            if normalizer is None or name == "qwen2":
                check_words(options.tool, name, texts + in_context, folder)
            peer = check_tokenizers(options.tool, name, texts, folder)
            if name in ("gpt2", "cl100k", "o200k", "llama3", "qwen2"):
                check_tiktoken(options.tool, name, peer, texts, folder)


main()
