#!/usr/bin/env python3
"""Writes fixtures/: texts and the results of Hugging Face's `tokenizers` for them, with which the C++ tests compare.

    pip install tokenizers
    make_fixtures.py [TINYSHAKESPEARE]

Everything except the golden values of Tiny Shakespeare is generated here from a fixed seed. The strings of vocabularies.json
also depend on Python's version of Unicode: they were made by Python 3.11.
"""

import json
import os
import random
import sys
import tempfile

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import vocabularies

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures")

# Ranges of letters of many scripts, with marks and digits among them.
SCRIPTS = {
    "latin": (0x61, 0x7A), "latin-1": (0xC0, 0xFF), "greek": (0x3B1, 0x3C9), "cyrillic": (0x430, 0x44F),
    "hebrew": (0x5D0, 0x5EA), "arabic": (0x627, 0x64A), "devanagari": (0x905, 0x94D), "thai": (0xE01, 0xE4E),
    "georgian": (0x10D0, 0x10F0), "ethiopic": (0x1200, 0x1240), "hiragana": (0x3041, 0x3090), "han": (0x4E00, 0x4E60),
    "hangul": (0xAC00, 0xAC60), "gothic": (0x10330, 0x1034A), "han extension b": (0x20000, 0x20020),
}
WHITE_SPACE = ["\t", "\n", "\v", "\f", "\r", " ", "\x85", "\xa0", "\u1680", *map(chr, range(0x2000, 0x200B)), "\u2028",
               "\u2029", "\u202f", "\u205f", "\u3000"]
LOOKALIKES = ["\x1c", "\x1d", "\x1e", "\x1f", "\u180e", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\0", "\x7f"]
NUMBERS = ["0", "7", "42", "1999", "²", "½", "Ⅷ", "٣", "५", "〇", "①", "𝟘"]
OTHERS = ["!", "...", ",", "?!", "—", "。", "\"", "#", "<", ">", "|", "&", "€", "🙂", "👩‍👩‍👧", "🇫🇷", "👍🏽", "é", "̈", "़"]
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'l", "'r", "'v", "''s", "’s", "'"]


def make_word(rng, script, length):
    first, last = SCRIPTS[script]
    return "".join(chr(rng.randint(first, last)) for _ in range(length))


def make_multiscript(rng):
    """Returns lines of words that recur often, in all scripts, with many kinds of separators between them."""
    lexicon = {script: [make_word(rng, script, rng.randint(1, 8)) for _ in range(25)] for script in SCRIPTS}
    parts = []
    for _ in range(420):
        words = lexicon[rng.choice(list(SCRIPTS))]
        for _ in range(rng.randint(0, 12)):
            parts.append(words[min(int(rng.expovariate(0.15)), len(words) - 1)])
            kind = rng.random()
            if kind < 0.08:
                parts.append(rng.choice(CONTRACTIONS))
            elif kind < 0.16:
                parts.append(rng.choice(OTHERS))
            elif kind < 0.24:
                parts.append(" " + rng.choice(NUMBERS))
            elif kind < 0.32:
                parts.append("".join(rng.choices(WHITE_SPACE + LOOKALIKES, k=rng.randint(1, 3))))
            parts.append(" " * rng.choice([0, 1, 1, 1, 1, 1, 1, 2, 3]))
        parts.append(rng.choice(["\n", "\n", "\n", "\r\n", "\n\n", " \r\n\r\n", "\n\n\n  ", "\r"]))
    return "".join(parts)


def make_generated():
    """Returns the text of generated_text() in trainer_test.cpp: words of random letters, short ones more often."""
    state = 1
    text = bytearray()
    while len(text) < 400_000:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        random_bits = state >> 33
        word = random_bits % (1 << (1 + random_bits // 1024 % 12))
        while True:
            text.append(ord("a") + word % 7)
            word //= 7
            if word == 0:
                break
        text.append(ord("\n") if random_bits % 16 == 0 else ord(" "))
    return text.decode()


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train(path, vocab_size, special_tokens=()):
    tokenizer = byte_level()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=list(special_tokens), show_progress=False)
    tokenizer.train([path], trainer)
    return tokenizer


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def merges_hash(tokenizer):
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return fnv1a("".join(f"{left} {right}\n" for left, right in merges).encode())


def odd_strings(rng):
    """Returns short strings in which every rule of the pattern meets every other."""
    pieces = WHITE_SPACE + LOOKALIKES + NUMBERS + OTHERS + CONTRACTIONS + [" ", " ", "a", "Bc", "é", "日", "x1", "_"]
    for piece in WHITE_SPACE + LOOKALIKES:
        yield f"a{piece}b{piece}{piece}c {piece} d{piece}"
    for contraction in CONTRACTIONS:
        yield f"a{contraction}b {contraction} {contraction}{contraction}"
    for _ in range(400):
        yield "".join(rng.choices(pieces, k=rng.randint(1, 12)))


def write(name, data):
    with open(os.path.join(FOLDER, name), "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def write_multiscript(rng):
    text = make_multiscript(rng)
    write("multiscript.txt", text)
    tokenizer = train(os.path.join(FOLDER, "multiscript.txt"), 1500)
    write("multiscript.tokenizer.json", tokenizer.to_str())
    write("multiscript.ids.json", compact(tokenizer.encode(text).ids))


def write_words(rng):
    """Writes each string and the sizes in bytes of the words that it is cut into."""
    cut = byte_level().pre_tokenizer.pre_tokenize_str
    write("words.json", compact([[s, [len(word) for word, _ in cut(s)]] for s in odd_strings(rng)]))


def write_specials(rng):
    """Writes a tokenizer with special tokens, one of them added after training, and strings of them with their ids."""
    specials = ["<|endoftext|>", "<|end|>", "<|end|><|end|>", "日本", " pad"]
    tokenizer = train(os.path.join(FOLDER, "multiscript.txt"), 320, specials)
    tokenizer.add_special_tokens([AddedToken("\n--\n", special=True, normalized=False)])
    pieces = specials + ["\n--\n", "\n", "--", "<|", "end", "|>", "<|endof", "text|>", "日", "本", " ", "pad", "a", " b"]
    strings = ["".join(rng.choices(pieces, k=rng.randint(1, 9))) for _ in range(150)]
    write("specials.tokenizer.json", tokenizer.to_str())
    write("specials.ids.json", compact([[s, tokenizer.encode(s).ids] for s in strings]))


def write_vocabularies(rng):
    """Writes what each kind of vocabulary does with strings: the sizes of its words, and ids. The merges are multiscript's."""
    kinds = {}
    for name, (pre_tokenizer, normalizer, _) in vocabularies.VOCABULARIES.items():
        tokenizer = Tokenizer.from_file(os.path.join(FOLDER, "multiscript.tokenizer.json"))
        tokenizer.pre_tokenizer = pre_tokenizer
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        tokenizer.add_tokens(vocabularies.ADDED)
        strings = vocabularies.make_texts(rng, 28)
        parts = {key: json.loads(tokenizer.to_str())[key] for key in ("normalizer", "pre_tokenizer", "added_tokens")}
        examples = [[s, [len(word) for word, _ in pre_tokenizer.pre_tokenize_str(s)], tokenizer.encode(s).ids] for s in strings]
        kinds[name] = {"parts": parts, "examples": examples}
    write("vocabularies.json", compact(kinds))


def write_normalized(rng):
    """Writes strings and their forms NFC and NFKC, with marks in any order and characters newer than the library's tables."""
    marks = ["\u0301", "\u0323", "\u0334", "\u05b0", "\u0345", "\u0308", "\u093c", "\u3099", "\u11a8", "\u1161", "\U00011930", "\u0898", "\U0001e130"]
    others = vocabularies.COMPOSED + ["a", "e", " ", "\u1100", "\uac00", "\u304b", "\u65e5", "\U00011935", "\u32ff", "\U000105d2\u0307", "\U0001fbf5"]
    strings = ["".join(rng.choice(rng.choice([marks, others])) for _ in range(rng.randint(1, 9))) for _ in range(150)]
    forms = normalizers.NFC(), normalizers.NFKC()
    write("normalized.json", compact([[s, *(form.normalize_str(s) for form in forms)] for s in strings]))


def write_hashes(shakespeare):
    path = os.path.join(FOLDER, "hashes.json")
    hashes = json.load(open(path)) if os.path.exists(path) else {}
    with tempfile.NamedTemporaryFile() as file:
        file.write(make_generated().encode())
        file.flush()
        hashes["generated 1500"] = merges_hash(train(file.name, 1500))
    if shakespeare:
        for vocab_size in (1000, 5000):
            hashes[f"tinyshakespeare {vocab_size}"] = merges_hash(train(shakespeare, vocab_size))
    write("hashes.json", compact(hashes))


def main():
    os.makedirs(FOLDER, exist_ok=True)
    rng = random.Random(20240229)
    write_multiscript(rng)
    write_words(rng)
    write_specials(rng)
    write_vocabularies(rng)
    write_normalized(rng)
    write_hashes(sys.argv[1] if len(sys.argv) > 1 else None)


main()
