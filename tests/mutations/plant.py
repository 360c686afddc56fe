#!/usr/bin/env python3
"""Plants bugs, one at a time, and reports which of them the tests notice.

    tests/mutations/plant.py                        # all of plants.txt
    tests/mutations/plant.py --only 'hip/'          # the plants whose name matches
    tests/mutations/plant.py --work ~/mutants --jobs 8 -- -G Ninja -DCMAKE_CXX_COMPILER_LAUNCHER=ccache

Arguments after -- go to cmake. README.md describes the list and the results.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# Results of a plant. Any result in FAULTS makes the script exit with status 1.
NOTICED, LIVED, ACCEPTED = "noticed", "LIVED", "accepted"
STALE, UNBUILT, BROKEN = "stale", "does not build", "test is broken"
FAULTS = (LIVED, STALE, UNBUILT, BROKEN)


class Test:
    """A line such as `cli_test SyncTest.*`, with environment variables before it: NAME=VALUE cli_test ..."""

    def __init__(self, text):
        words = text.split()
        self.environment = {}
        while "=" in words[0]:
            name, value = words.pop(0).split("=", 1)
            self.environment[name] = value
        self.target, self.filter = words[0], ":".join(words[1:]) or "*"
        self.text = text

    def run(self, build, limit):
        """Returns (passed, number of tests, what failed)."""
        program = build / "tests" / self.target
        command = [str(program), "--gtest_filter=" + self.filter, "--gtest_brief=1"]
        try:
            done = subprocess.run(command, cwd=build, env={**os.environ, **self.environment}, timeout=limit,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return False, 0, "ran longer than %d s" % limit
        output = done.stdout.decode(errors="replace")
        ran = re.search(r"(\d+) tests? from \d+ test suites? ran", output)
        failed = re.findall(r"^\[  FAILED  \] (?:\w+/)?(\w+\.\w+)", output, re.MULTILINE)
        names = list(dict.fromkeys(failed)) or ["exit status %d" % done.returncode]
        more = " and %d more" % (len(names) - 1) if len(names) > 1 else ""
        return done.returncode == 0, int(ran.group(1)) if ran else 0, names[0] + more


class Plant:
    """An entry of the list."""

    def __init__(self, name, line):
        self.name, self.line = name, line
        self.file, self.breaks, self.accepted = "", "", ""
        self.old, self.new, self.tests = [], [], []

    def check(self):
        missing = [what for what, value in (("file", self.file), ("- lines", self.old), ("breaks", self.breaks),
                                            ("test", self.tests)) if not value]
        if missing:
            sys.exit("plants.txt:%d: %s has no %s" % (self.line, self.name, ", ".join(missing)))


def read_plants(path):
    plants = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("["):
            plants.append(Plant(line.strip("[] "), number))
            continue
        if not plants:
            sys.exit("plants.txt:%d: a line comes before the first [name]" % number)
        plant = plants[-1]
        key, _, value = line.partition(":")
        if line[0] in "-+":
            (plant.old if line[0] == "-" else plant.new).append(line[2:])
        elif key in ("file", "breaks", "accepted"):
            setattr(plant, key, value.strip())
        elif key == "test":
            plant.tests.append(Test(value.strip()))
        else:
            sys.exit("plants.txt:%d: the line must begin with file:, breaks:, test:, accepted:, - or +" % number)
    for plant in plants:
        plant.check()
    names = [plant.name for plant in plants]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        sys.exit("plants.txt: rename one plant of each pair with the same name: " + ", ".join(sorted(twice)))
    return plants


def quietly(command, log):
    """Returns True if the command succeeds; its output goes to the log."""
    with open(log, "ab") as out:
        return subprocess.run([str(word) for word in command], stdout=out, stderr=out,
                              stdin=subprocess.DEVNULL).returncode == 0


class Garden:
    """A copy of HEAD outside the checkout, in which bugs are planted and built."""

    def __init__(self, work, jobs, limit, options):
        self.source = work
        self.build = work / "build"  # the same path as in a checkout, so that ccache reuses its objects
        self.log = self.build / "plant.log"
        self.jobs, self.limit = jobs, limit
        self.baseline = {}
        head = subprocess.check_output(["git", "-C", str(ROOT), "rev-parse", "HEAD"], text=True).strip()
        if not (self.source / ".git").exists():
            subprocess.check_call(["git", "clone", "-q", str(ROOT), str(self.source)])
        self.build.mkdir(exist_ok=True)
        self.log.write_text("")
        self.do(["git", "-C", self.source, "fetch", "-q", "origin", head])
        self.do(["git", "-C", self.source, "checkout", "-q", "-f", "--detach", head])
        self.do(["cmake", "-S", self.source, "-B", self.build, "-DHIPGPT_HIP_PLATFORM=none"] + options)

    def do(self, command):
        if not quietly(command, self.log):
            sys.exit("%s failed; see %s" % (" ".join(map(str, command)), self.log))

    def make(self, tests):
        targets = sorted({test.target for test in tests})
        return quietly(["cmake", "--build", self.build, "-j", self.jobs, "--target"] + targets, self.log)

    def passes(self, test):
        """Tells whether a test runs and passes with nothing planted; otherwise its failure proves nothing."""
        if test.text not in self.baseline:
            passed, count, _ = test.run(self.build, self.limit)
            self.baseline[test.text] = passed and count > 0
        return self.baseline[test.text]

    def try_plant(self, plant):
        """Returns (result, a short explanation)."""
        path = self.source / plant.file
        if not path.exists():
            return STALE, "%s does not exist" % plant.file
        before = path.read_text()
        old, new = "\n".join(plant.old), "\n".join(plant.new)
        if before.count(old) != 1:
            return STALE, "its text occurs %d times in %s" % (before.count(old), plant.file)
        unknown = [test for test in plant.tests if test.text not in self.baseline]
        if unknown and not self.make(unknown):
            return BROKEN, "cannot be built; see %s" % self.log
        for test in plant.tests:
            if not self.passes(test):
                return BROKEN, "%s fails, or has no test, with nothing planted" % test.text
        try:
            path.write_text(before.replace(old, new))
            if not self.make(plant.tests):
                return UNBUILT, "see %s" % self.log
            for test in plant.tests:
                passed, _, what = test.run(self.build, self.limit)
                if not passed:
                    return NOTICED, what
        finally:
            path.write_text(before)
        return (ACCEPTED, plant.accepted) if plant.accepted else (LIVED, plant.breaks)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PATTERN", default="", help="plants whose name matches this expression")
    parser.add_argument("--list", action="store_true", help="print the plants and exit")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="parallel jobs of the build (all cores)")
    parser.add_argument("--limit", type=int, default=300, metavar="S", help="time limit for a test, in seconds (300)")
    parser.add_argument("--work", type=pathlib.Path, metavar="DIR",
                        help="copy and build in DIR, and keep it for the next run (a temporary folder)")
    parser.add_argument("options", nargs="*", metavar="-- OPTION", help="an option for cmake")
    arguments = parser.parse_args()

    plants = [p for p in read_plants(HERE / "plants.txt") if re.search(arguments.only, p.name)]
    if arguments.list:
        for plant in plants:
            print("%s: %s" % (plant.name, plant.accepted or plant.breaks))
        return 0
    if not plants:
        sys.exit("no plant's name matches '%s'" % arguments.only)

    with tempfile.TemporaryDirectory(prefix="hipgpt-mutations-") as temporary:
        work = (arguments.work or pathlib.Path(temporary) / "hipgpt").resolve()
        work.parent.mkdir(parents=True, exist_ok=True)
        garden = Garden(work, arguments.jobs, arguments.limit, arguments.options)
        counts = {}
        width = max(len(plant.name) for plant in plants)
        for plant in plants:
            start = time.monotonic()
            result, word = garden.try_plant(plant)
            counts[result] = counts.get(result, 0) + 1
            print("%-14s %-*s %3.0f s  %s" % (result, width, plant.name, time.monotonic() - start, word), flush=True)
        print("%d plants: %s" % (len(plants), ", ".join("%d %s" % (n, r) for r, n in sorted(counts.items()))))
    return 1 if any(result in counts for result in FAULTS) else 0


if __name__ == "__main__":
    sys.exit(main())
