#!/usr/bin/env python3
"""Draws random sentences from comments and README files, for a reviewer of the project's English.

    tests/style/draw_sentences.py                                  # 100 comment sentences, 60 README sentences
    tests/style/draw_sentences.py --comments 40 --readme 0 --seed 7

Of 100 comment sentences and 60 README sentences, at most 3 may need rewriting. A seed repeats a draw.
"""

import argparse
import pathlib
import random
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("include", "src", "tests", "scripts")
SUFFIXES = (".h", ".cpp", ".py", ".sh", ".cmake", "CMakeLists.txt")
SKIPPED = re.compile(r"\s{2}|[-=]{2}|shellcheck|clang-format|NOLINT|namespace |!")  # code, rules, directives
END = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!cf)[.?!]\)?\s+(?=[A-Z`\"(*]|[a-z]\w*[_./]\w)")  # between two sentences


def comment_lines(path):
    """(line number, text) of every comment line; text is None where a paragraph ends."""
    slashes = path.suffix in (".h", ".cpp")
    comment = re.compile(r"(?:^|\s)//[/!]?<?(?: (.*))?$" if slashes else r"(?:^|\s)#(?: (.*))?$")
    in_docstring = False
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        quotes = line.count('"""') if path.suffix == ".py" else 0
        if in_docstring or (quotes and line.lstrip().startswith('"""')):
            in_docstring ^= quotes % 2 == 1
            yield number, line.replace('"""', "") or None
            if not in_docstring:
                yield number, None
            continue
        match = comment.search(line)
        if match and line[: match.start()].strip():
            yield number, None  # a comment after code is not part of the lines above it
        is_prose = match and match[1] and not SKIPPED.match(match[1])
        yield number, match[1] if is_prose else None


def prose_lines(path):
    """The same for a README without its code blocks, headings and table rules. Cells and list items are paragraphs."""
    in_code = in_paragraph = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        is_fence = line.lstrip().startswith("```")
        in_code ^= is_fence
        is_indented_code = line.startswith("    ") and not in_paragraph
        if in_code or is_fence or is_indented_code or not line.strip() or re.match(r"#|\|[-: |]+$", line):
            in_paragraph = False
            yield number, None
        elif line.startswith("|"):
            for cell in re.split(r"(?<!\\)\|", line):
                yield number, cell
                yield number, None
        else:
            in_paragraph = True
            item = re.match(r"\s*([-*]|\d+\.) ", line)
            if item:
                yield number, None
            yield number, line[item.end() if item else 0:]


def sentences(path, lines):
    """FILE:LINE: SENTENCE for every sentence of at least four words, code not counted."""
    paragraph = []  # (line number, word)
    for number, text in [*lines(path), (0, None)]:
        if text is not None:
            paragraph += [(number, word) for word in text.split()]
            continue
        words = [word for _, word in paragraph]
        begin = 0
        for sentence in END.sub(lambda match: match[0].rstrip() + "\n", " ".join(words)).split("\n"):
            if len(re.findall(r"[A-Za-z]{2,}", re.sub(r"`[^`]*`", "", sentence))) >= 4:
                yield f"{path.relative_to(ROOT)}:{paragraph[begin][0]}: {sentence}"
            begin += len(sentence.split())
        paragraph = []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comments", type=int, default=100, metavar="N", help="sentences of comments (100)")
    parser.add_argument("--readme", type=int, default=60, metavar="N", help="sentences of *.md files (60)")
    parser.add_argument("--seed", type=int, help="repeats a draw (random)")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.randrange(100000)
    files = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file())
    sources = [path for path in files if path.name.endswith(SUFFIXES)] + [ROOT / "CMakeLists.txt"]
    readmes = [path for path in files if path.suffix == ".md"] + [ROOT / "README.md", ROOT / "data" / "README.md"]
    print(f"seed {seed}")
    for title, paths, lines, count in (("Comments", sources, comment_lines, arguments.comments),
                                       ("README files", readmes, prose_lines, arguments.readme)):
        all_sentences = [sentence for path in paths for sentence in sentences(path, lines)]
        drawn = random.Random(seed).sample(all_sentences, min(count, len(all_sentences)))
        print(f"\n{title}: {len(drawn)} of {len(all_sentences)} sentences", *drawn, sep="\n")


if __name__ == "__main__":
    main()
