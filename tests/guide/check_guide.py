#!/usr/bin/env python3
"""Checks that the guide is true: its links, quotations, glossary, questions and figures and, with the programs of a build,
every command and what it prints.

    tests/guide/check_guide.py            # the texts, in a second
    tests/guide/check_guide.py BUILD      # the commands too, with BUILD/train_gpt and BUILD/generate: about two minutes

The guide is src/README.md and the chapters in its table. In a chapter,

    ```cpp           is quoted from the source file that is linked last above it. A line `...` stands for lines left out.
    ```bash          is run, in the order of the chapters, in one folder, after the training run of src/README.md.
    ```text          below a bash block is what it printed. Each line is found in the output, in this order. Numbers agree
                     to the last digit shown, or, for ```text within N %, within N % or 0.05. `...` matches
                     anything. A trained model differs that much between processors, which round differently.
    ```text sample   is an example of what it may print, and is not compared.

Exits with 77, which ctest reports as skipped, if the commands cannot run because the King James Bible cannot be had.
"""

import argparse
import hashlib
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
KJV = "82a24e4e23c644fe579ed387b20e54eb529cc0a87a25e0810064edb2216780c2"
SECTIONS = ("By hand", "The code", "See it", "Exercise", "You can now say", "The paper")  # of every chapter but 0, 16 and A
MOST_WORDS = 1200
SECONDS = 120  # for a bash block, on a busy machine; the training run of src/README.md and the build of an exercise have ten minutes
FENCE = re.compile(r"^```(.*)$")
LINK = re.compile(r"(?<!!)\[[^\]\[]*\]\(([^)\s]+)\)")
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
DIGITS = r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?"  # 1,554,056, 8.5181 or 3.00e-05
NUMBER = re.compile(rf"(?<![\w.,]){DIGITS}(?!\w)")

failures = []


def fail(path, line, message):
    failures.append(f"{path.relative_to(ROOT)}:{line}: {message}")


class Page:
    """A Markdown file: its prose lines (number, text), headings and fenced blocks (number, info, lines, prose lines above)."""

    def __init__(self, path):
        self.path, self.prose, self.blocks, self.anchors, self.headings = path, [], [], set(), []
        fence = None
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = FENCE.match(line)
            if fence is not None:
                if match:
                    self.blocks.append(fence)
                    fence = None
                else:
                    fence[2].append(line)
            elif match:
                fence = (number, match[1].strip(), [], len(self.prose))
            else:
                self.prose.append((number, line))
                heading = re.match(r"(#+) (.*)", line)
                if heading:
                    self.headings.append((number, len(heading[1]), heading[2]))
                    self.anchors.add(slug(heading[2], self.anchors))

    def own_lines(self):
        """The prose of the chapter itself, without the reference below its line "Details"."""
        for number, line in self.prose:
            if re.match(r"#+ Details$", line):
                return
            yield number, line


def slug(heading, taken=()):
    """The anchor that GitHub gives to a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    base = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
    name, count = base, 0
    while name in taken:
        count += 1
        name = f"{base}-{count}"
    return name


def without_code(line):
    return re.sub(r"`[^`]*`", "", line)


def check_links(page, pages):
    for number, line in page.prose:
        for target in LINK.findall(line) + [image[1] for image in IMAGE.findall(line)]:
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            path = (page.path.parent / name).resolve() if name else page.path
            if not path.exists():
                fail(page.path, number, f"links to {target}, which does not exist")
            elif anchor and path.suffix == ".md" and anchor not in load(path, pages).anchors:
                fail(page.path, number, f"links to {target}, but {name or 'this file'} has no such heading")


def load(path, pages):
    if path not in pages:
        pages[path] = Page(path)
    return pages[path]


def check_quotations(page):
    """Returns the number of C++ blocks."""
    count = 0
    for number, info, lines, above in page.blocks:
        if info != "cpp":
            continue
        count += 1
        linked = [target for _, line in page.prose[:above] for target in LINK.findall(line)
                  if pathlib.Path(target).suffix in (".h", ".cpp")]
        if not linked:
            fail(page.path, number, "quotes C++ without a link to its file above")
            continue
        source, at = (page.path.parent / linked[-1]).resolve(), 0
        text = source.read_text() if source.exists() else ""
        for piece in re.split(r"^ *\.\.\. *$", "\n".join(lines), flags=re.M):
            found = text.find(piece.strip("\n"), at)
            if found < 0:
                fail(page.path, number, f"quotes lines that are not in {linked[-1]}: {piece.strip().splitlines()[0]}")
                break
            at = found + len(piece.strip("\n"))
    return count


def check_form(page, is_chapter):
    names = [heading for _, _, heading in page.headings]
    if is_chapter:
        for section in SECTIONS:
            if section not in names:
                fail(page.path, 1, f"has no section '{section}'")
        if not any(IMAGE.search(line) for _, line in page.own_lines()):
            fail(page.path, 1, "has no figure")
    words = sum(len(re.findall(r"[A-Za-z]{2,}", re.sub(r"\$[^$]*\$|\]\([^)]*\)", "", without_code(line))))
                for _, line in page.own_lines())
    if is_chapter and words > MOST_WORDS:
        fail(page.path, 1, f"has {words} words, more than {MOST_WORDS}")
    for number, line in page.prose:
        for alternative, target in IMAGE.findall(line):
            path = page.path.parent / target
            if not alternative:
                fail(page.path, number, f"{target} has no description")
            if path.suffix == ".svg" and path.exists() and "prefers-color-scheme" not in path.read_text():
                fail(page.path, number, f"{target} has no dark colours")
        for exercise in re.findall(r"`(tests/exercises/(?!NAME)[\w/]+\.cpp)`", line):
            if (ROOT / "tests/exercises").is_dir() and not (ROOT / exercise).exists():
                fail(page.path, number, f"names {exercise}, which does not exist")
    return words


def check_formulas(page):
    """GitHub reads a formula as Markdown first: it would drop a backslash before a sign, and take `}_` for emphasis."""
    for formula in re.findall(r"\$\$.+?\$\$|\$[^$\n]+\$", "\n".join(without_code(line) for _, line in page.prose), flags=re.S):
        if re.search(r"\\[^A-Za-z]|\}_|\*", formula):
            fail(page.path, 1, f"GitHub would not show this formula as it is: {formula}")


def check_words(words_page, chapters, pages):
    linked = set()
    for page in chapters:
        if page.path == words_page.path:
            continue
        for _, line in page.prose:
            for target in LINK.findall(line):
                name, _, anchor = target.partition("#")
                if anchor and (page.path.parent / name).resolve() == words_page.path:
                    linked.add(anchor)
    for number, level, heading in words_page.headings:
        if level == 3 and slug(heading) not in linked:
            fail(words_page.path, number, f"'{heading}' is linked from no chapter")
    return sum(level == 3 for _, level, _ in words_page.headings)


def check_path(contents):
    """The path through the source has as many files, and about as many lines, as src/README.md and README.md say."""
    text = contents.path.read_text()
    names = re.findall(r"`([\w/]+\.\w+)`", "".join(re.findall(r"- Path: (.*?)(?=\n   - |\n\d+\. |\n\n)", text, flags=re.S)))
    lines = 0
    for name in names:
        found = [path for folder in ("include", "src", "src/reference") if (path := ROOT / folder / name).exists()]
        if found:
            lines += len(found[0].read_text().splitlines())
        else:
            fail(contents.path, 1, f"the path names {name}, which does not exist")
    for path in (contents.path, ROOT / "README.md"):
        for files, about in re.findall(r"(\d+)\s+files, about ([\d,]+) lines", path.read_text()):
            if int(files) != len(names) or abs(int(about.replace(",", "")) - lines) > 100:
                fail(path, 1, f"the path has {len(names)} files of {lines} lines, not {files} of {about}")


def check_exercises(places):
    """The head of each exercise names its chapter and the chapter's file."""
    for path in sorted((ROOT / "tests/exercises").glob("*.cpp")):
        match = re.search(r"Guide: chapter (\d+), (\S+)$", path.read_text().splitlines()[0])
        if match is None:
            fail(path, 1, "its first line does not end in 'Guide: chapter N, FILE'")
        elif places.get(match[1]) != ROOT / match[2]:
            fail(path, 1, f"chapter {match[1]} is not {match[2]}")


def check_questions(path, chapters, pages):
    """A line of the file: a question, where it is answered (FILE#HEADING, from src/), and a word that a search would use.

    The place is in a chapter, so one link of src/README.md leads to it."""
    count = 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        question, place, word = (cell.strip() for cell in line.split("|"))
        name, _, anchor = place.partition("#")
        file = (ROOT / "src" / name).resolve()
        count += 1
        if not file.exists():
            fail(path, number, f"{place}: no such file")
            continue
        if file not in chapters:
            fail(path, number, f"{place} is in no chapter")
        page = load(file, pages)
        taken, begin, end = set(), None, None
        for heading_line, level, heading in page.headings:
            name = slug(heading, taken)
            taken.add(name)
            if begin is not None and end is None and level <= depth:
                end = heading_line
            if name == anchor and begin is None:
                begin, depth = heading_line, level
        section = "\n".join(file.read_text().splitlines()[(begin or 1) - 1:(end - 1) if end else None])
        if begin is None:
            fail(path, number, f"{place}: no such heading")
        elif word.lower() not in section.lower():
            fail(path, number, f"{place} does not mention '{word}' ({question})")
    return count


# ---- Commands


def same(expected, actual, percent):
    """Whether two numbers agree: to one unit in the last digit of the expected one or, with `percent`, within that or 0.05."""
    digits = len(expected.partition(".")[2]) if "e" not in expected else 0
    a, b = float(expected.replace(",", "")), float(actual.replace(",", ""))
    unit = 1.001 * 10.0 ** -digits if digits else 0
    return abs(a - b) <= max(unit, abs(a) * percent / 100, 0.05 if percent and digits else 0)


def line_agrees(expected, actual, percent):
    parts, numbers, at = [], [], 0

    def literal(text):
        pieces = [re.sub(r"(?:\\ )+|\s+", r"\\s+", re.escape(piece)) for piece in re.split(r"\.\.\.", text)]
        return ".*?".join(pieces)

    for match in NUMBER.finditer(expected):
        parts.append(literal(expected[at:match.start()]) + f"({DIGITS})")
        numbers.append(match[0])
        at = match.end()
    match = re.fullmatch("".join(parts) + literal(expected[at:]), actual.rstrip())
    return match is not None and all(same(e, a, percent) for e, a in zip(numbers, match.groups()))


def compare(page, number, expected, output, percent):
    lines, at = output.splitlines(), 0
    for line in expected:
        line = line.strip()
        if not line or line == "...":
            continue
        found = next((i for i in range(at, len(lines)) if line_agrees(line, lines[i].strip(), percent)), None)
        if found is None:
            fail(page.path, number, f"the output has no line like this one, in this order: {line}\n{output}")
            return
        at = found + 1


def find_text(folder):
    """Puts the King James Bible into the folder, or returns False."""
    own = ROOT / "data/data.txt"
    (folder / "data").mkdir()
    if own.exists() and hashlib.sha256(own.read_bytes()).hexdigest() == KJV:
        shutil.copy(own, folder / "data/data.txt")
    elif shutil.which("bible"):
        shutil.copytree(ROOT / "scripts", folder / "scripts")
        subprocess.run([folder / "scripts/download_data.sh", "--source", "kjv"], check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(folder / "scripts")
    return (folder / "data/data.txt").exists()


def run_commands(chapters, build):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if not find_text(folder):
            print("skipped: the King James Bible is not here (scripts/install_deps.sh --with-kjv installs it)")
            return 77
        (folder / "build").symlink_to(build)
        (folder / "scripts").mkdir()
        for script, text in {"download_data.sh": "exit 0", "run_train.sh": 'exec ./build/train_gpt "$@"',
                             "exercise.sh": f'HIPGPT_EXERCISES_BUILD="$PWD/exercises" exec {ROOT}/scripts/exercise.sh "$@"'}.items():
            (folder / "scripts" / script).write_text(f"#!/usr/bin/env bash\n{text}\n")
            (folder / "scripts" / script).chmod(0o755)
        for page in chapters:
            output = None
            for number, info, lines, _ in page.blocks:
                if info == "bash":
                    limit = 600 if page.path == ROOT / "src/README.md" or "exercise.sh" in "".join(lines) else SECONDS
                    try:
                        result = subprocess.run(["bash", "-euo", "pipefail", "-c", "\n".join(lines)], cwd=folder, text=True,
                                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit,
                                                stdin=subprocess.DEVNULL, errors="replace")
                        output = result.stdout
                        if result.returncode != 0:
                            fail(page.path, number, f"these commands end with status {result.returncode}:\n{output}")
                    except subprocess.TimeoutExpired:
                        fail(page.path, number, f"these commands take more than {limit} seconds")
                elif info.startswith("text within ") or (info == "text" and output is not None):
                    within = re.match(r"text within (\d+) %$", info)
                    compare(page, number, lines, output or "", float(within[1]) if within else 0)
            print(f"ran {page.path.relative_to(ROOT)}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?", type=pathlib.Path, help="a build folder, to run the commands as well")
    arguments = parser.parse_args()
    pages = {}
    contents = load(ROOT / "src/README.md", pages)
    rows = [re.match(r"\| (\d+|A) \|.*?\]\(([^)#]+)\)", line) for _, line in contents.prose]
    places = {row[1]: (contents.path.parent / row[2]).resolve() for row in rows if row}
    paths = dict.fromkeys(path for path in places.values() if path.exists())  # a file may hold several chapters
    chapters = [load(path, pages) for path in paths]
    if len(places) < 17:
        fail(contents.path, 1, f"the table has {len(places)} chapters")

    status = 0
    if arguments.build is None:
        links = [path for folder in ("src", "include", "tests", "data") for path in (ROOT / folder).rglob("*.md")]
        for path in sorted(links) + [ROOT / "README.md"]:
            check_links(load(path, pages), pages)
        for page in chapters:
            check_formulas(page)
        quoted = sum(check_quotations(page) for page in chapters)
        for number, path in places.items():
            words = check_form(load(path, pages), number.isdigit() and 1 <= int(number) <= 15) if path.exists() else 0
            print(f"chapter {number}: {words} words, {path.relative_to(ROOT)}")
        words = check_words(load(places["A"], pages), chapters, pages)
        questions = check_questions(ROOT / "tests/guide/questions.txt", paths, pages)
        check_exercises(places)
        check_path(contents)
        print(f"{len(chapters)} chapters, {quoted} quotations, {words} words of the glossary, {questions} questions")
        for script in ("make_figures.py", "make_gpu_figures.py"):
            figures = subprocess.run([sys.executable, ROOT / "scripts" / script, "--check"], text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            if figures.returncode != 0:
                failures.append(figures.stdout)
    else:
        status = run_commands(chapters, arguments.build.resolve())
    print(*failures, sep="\n")
    return 1 if failures else status


if __name__ == "__main__":
    sys.exit(main())
