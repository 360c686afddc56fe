"""The vocabularies and texts by which HipGPT is compared with Hugging Face's `tokenizers` and OpenAI's `tiktoken`.

The published vocabularies are large and cannot be part of the project, so small ones are learned here. Everything else
is as published: regular expressions, normalizers and flags.
"""

import base64
import random
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
CL100K = LLAMA3.replace(r"|\s*[\r\n]+", r"|\s++$|\s*[\r\n]+")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = "|".join([rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?", rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?",
                  r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])


def by_regex(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def by_digits(individual):
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=individual),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False)])


def gpt2():
    return pre_tokenizers.ByteLevel(add_prefix_space=False)


# Each is a pre-tokenizer, a normalizer and ignore_merges.
VOCABULARIES = {
    "gpt2": (gpt2(), None, False),
    "llama3": (by_regex(LLAMA3), None, True),
    "qwen2": (by_regex(QWEN2), normalizers.NFC(), False),
    "cl100k": (by_regex(CL100K), None, True),
    "o200k": (by_regex(O200K), None, True),
    "starcoder2": (by_digits(True), None, False),
    "gpt2-nfc": (gpt2(), normalizers.NFC(), False),
    "o200k-nfkc": (by_regex(O200K), normalizers.NFKC(), False),
    "numbers": (by_digits(False), None, False),
}

# Added after training: special, found before the text is normalized; and not special, found after.
ADDED = [AddedToken("<|im_end|>", special=True, normalized=False),
         AddedToken("caf\u00e9 au", special=False, normalized=True), AddedToken("<n>", special=False, normalized=True)]

# Ranges of 27 scripts, with marks and digits among their letters.
SCRIPTS = {
    "latin": (0x41, 0x7A), "latin-1": (0xC0, 0xFF), "latin extended": (0x100, 0x24F), "greek": (0x370, 0x3FF), "greek extended":
    (0x1F00, 0x1FFF), "cyrillic": (0x400, 0x481), "armenian": (0x531, 0x587), "hebrew": (0x591, 0x5F4), "arabic": (0x600, 0x6FF),
    "syriac": (0x700, 0x74F), "devanagari": (0x900, 0x97F), "bengali": (0x980, 0x9FE), "gurmukhi": (0xA01, 0xA76), "tamil":
    (0xB82, 0xBFA), "telugu": (0xC00, 0xC7F), "malayalam": (0xD00, 0xD7F), "sinhala": (0xD81, 0xDF4), "thai": (0xE01, 0xE5B),
    "lao": (0xE81, 0xEDF), "tibetan": (0xF00, 0xFDA), "myanmar": (0x1000, 0x109F), "georgian": (0x10A0, 0x10FF), "ethiopic":
    (0x1200, 0x137C), "khmer": (0x1780, 0x17F9), "kana": (0x3041, 0x30FF), "han": (0x4E00, 0x4E80), "hangul": (0xAC00, 0xAC80),
    "jamo": (0x1100, 0x11FF), "fullwidth": (0xFF01, 0xFFEE), "gothic": (0x10330, 0x1034A), "deseret": (0x10400, 0x1044F),
}
SPACES = [" ", " ", " ", "  ", "   ", "\t", "\n", "\r\n", "\r", "\n\n", "\x0b", "\x85", "\xa0", "\u2003", "\u2028", "\u3000"]
ENDINGS = ["'s", "'S", "'t", "'T", "'re", "'RE", "'rE", "'ve", "'VE", "'m", "'M", "'ll", "'LL", "'lL", "'d", "'D", "'l", "'v",
           "'\u017f", "'\u017fa", "''s", "\u2019s", "'", "'se"]
NUMBERS = ["0", "7", "42", "123", "1234", "1234567", "\u00b2", "\u00bd", "\u2167", "\u0663\u0664\u0665\u0666", "\u096b", "\u3007", "\u2460", "\U0001d7d8"]
SIGNS = ["!", "...", ",", "?!", "/", "//", "/\n/", "\u2014", "\u3002", "\"", "#", "<", "|", "&", "\u20ac", "()", "[]", "{};\n", "=>", "_", "\u200b", "\u200d",
         "\ufeff", "\0", "\u0301", "\u0308\u0323", "\u093c", "\u20e3", "\U0001f642", "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0001f1eb\U0001f1f7",
         "\U0001f44d\U0001f3fd", "1\ufe0f\u20e3", "<|im_end|>", "caf\u00e9 au", "cafe\u0301 au", "<n>"]
COMPOSED = ["e\u0301", "\u1e9b\u0323", "\ufb01", "\ufdfa", "\u212b", "\u2126", "\u1100\u1161\u11a8", "\uac00\u11a8", "\u0915\u093c", "\u0344",
            "a\u0323\u0301", "a\u0301\u0323", "\uff76\uff9e", "\u304b\u3099", "\u2460", "\u00a8", "\u037e", "\U0001d15e", "\U0002f800", "\u1fef", "\u0b47\u0b57"]
CODE = ["def f(x):\n    return x**2  # ok\n", "for (int i = 0; i < 10; ++i) {\n\tsum += a[i];\n}\n", "<div class=\"x\">&amp;</div>\r\n",
        "SELECT * FROM t WHERE id=42;", "https://example.org/a/b?c=1&d=%20", "camelCaseName HTTPServer XMLHttpRequest2 snake_case",
        "0xDEADBEEF 3.14e-10 1,234,567", "if(!x){}\n\n\n    else//no\n", "$\\alpha_{1}^{2}$", "\t\t\tx\n\n\t\ty  \n"]


# Numbers of Unicode 17, which the library's Digits knows and its regular expressions do not.
UNICODE17_DIGITS = [*range(0x11DE0, 0x11DEA), *range(0x16FF4, 0x16FF7)]


def characters():
    """Returns all code points of the planes in which Unicode assigns any, whether assigned or not."""
    planes = [*range(1, 0xD800), *range(0xE000, 0x33480), *range(0xE0000, 0xE0200), 0x10FFFF]
    return [chr(c) for c in planes if c not in UNICODE17_DIGITS]


def characters_in_context():
    """Texts in which each character follows and precedes each kind of neighbour."""
    all_characters = characters()
    for begin in range(0, len(all_characters), 500):
        yield "".join(f"a{c}A{c}{c} {c}1{c}'{c}!{c}\n" for c in all_characters[begin:begin + 500])


def by_category(all_characters):
    groups = {}
    for c in all_characters:
        groups.setdefault(unicodedata.category(c), []).append(c)
    return list(groups.values())


def make_word(rng, script):
    first, last = SCRIPTS[script]
    return "".join(chr(rng.randint(first, last)) for _ in range(rng.randint(1, 8)))


def prose(rng):
    """A line of one script with numbers, signs and contractions between its words."""
    script = rng.choice(list(SCRIPTS))
    parts = []
    for _ in range(rng.randint(1, 25)):
        parts.append(make_word(rng, script))
        for pieces, chance in ((ENDINGS, 0.12), (SIGNS, 0.2), (NUMBERS, 0.15), (COMPOSED, 0.1)):
            if rng.random() < chance:
                parts.append(rng.choice(["", " "]) + rng.choice(pieces))
        parts.append(rng.choice(SPACES))
    return "".join(parts)


def jumble(rng):
    """Pieces of all kinds, so that every rule of an expression meets every other."""
    kinds = [SPACES, ENDINGS, NUMBERS, SIGNS, COMPOSED, ["a", "B", "Cd", "eF", "\u01c5", "\u02b0", "\u65e5", "\u0e40"], CODE]
    return "".join(rng.choice(rng.choice(kinds)) for _ in range(rng.randint(1, 16)))


def bytes_as_text(rng):
    return bytes(rng.randrange(256) for _ in range(rng.randint(1, 60))).decode("utf-8", "ignore")


def make_texts(rng, count):
    groups = by_category(characters())

    def fuzz(rng):
        return "".join(rng.choice(rng.choice(groups)) if rng.random() < 0.6 else rng.choice(rng.choice(
            [SPACES, ENDINGS, NUMBERS, ["a", "B", "'", "/"]])) for _ in range(rng.randint(1, 20)))

    makers = [prose, prose, jumble, jumble, bytes_as_text, fuzz, fuzz]
    return [makers[i % len(makers)](rng) for i in range(count)]


def corpus(seed):
    rng = random.Random(seed)
    lines = [prose(rng) for _ in range(1500)] + [jumble(rng) for _ in range(500)] + CODE * 10
    return lines


def learn(name, vocab_size, lines):
    """Returns a tokenizer of Hugging Face's that learned from these texts."""
    pre_tokenizer, normalizer, ignore_merges = VOCABULARIES[name]
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|endoftext|>"],
        show_progress=False))
    tokenizer.add_tokens(ADDED)
    return tokenizer


def byte_of_character():
    """Returns GPT-2's alphabet: printable bytes stand for themselves, the others follow from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(0x100 + i): b for i, b in enumerate(others)}


def ranks_of(tokenizer):
    """Returns the ranks that tiktoken would give the same tokens: bytes first, then in the order of learning."""
    byte_of = byte_of_character()
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    vocab = sorted((id, token) for token, id in tokenizer.get_vocab().items() if token not in added)
    return {bytes(byte_of[c] for c in token): rank for rank, (_, token) in enumerate(vocab)}


def tiktoken_file(ranks):
    return "".join(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items())
