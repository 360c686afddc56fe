#!/usr/bin/env python3
"""Runs train_gpt in several processes and compares it with one process.

    tests/comm/check_processes.py BUILD [--kills N] [--only NAME]

Without mpirun, or if the build has no MPI, it checks only processes that train_gpt starts itself, on an emulated GPU.
"""

import argparse
import glob
import json
import math
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from two_hosts import ADDRESSES, HOSTS, TwoHosts

SMALL = ("--data-path text.txt --vocab-size 400 --seq 32 --dim 32 --heads 2 --layers 2 --ff 64 --activation gelu "
         "--final-layernorm true --batch 12 --log-every 1 --eval-every 50 --eval-batches 3 --device cpu --threads 1").split()
PATIENCE = 120  # seconds for a run that should end by itself
DETECTED = 30   # seconds until a run ends that has lost a process


def mpirun(processes):
    # Open MPI's processes otherwise spin while they wait, and refuse to run as root or on more processes than cores.
    flags = ["--oversubscribe", "--mca", "mpi_yield_when_idle", "1"]
    version = subprocess.run(["mpirun", "--version"], capture_output=True, text=True).stdout
    return ["mpirun", *(flags if "Open MPI" in version or "OpenRTE" in version else []), "-n", str(processes)]


ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


class Checks:
    def __init__(self, build, kills, seed):
        self.train_gpt = os.path.join(build, "train_gpt")
        self.generate = os.path.join(build, "generate")
        self.on_hip = os.path.join(build, "tests", "train_on_hip")
        self.with_nccl = ["env", "HIPGPT_NCCL=" + os.path.join(build, "tests", "libfake_nccl.so")]
        self.kills = kills
        self.random = random.Random(seed)
        self.failures = 0

    def expect(self, good, what):
        if not good:
            self.failures += 1
            print(f"FAILED: {what}", flush=True)

    def run(self, folder, processes, flags, program=None, launcher=None):
        """Runs to the end. Returns (exit status, stdout, stderr)."""
        os.makedirs(folder, exist_ok=True)
        if not os.path.exists(f"{folder}/text.txt"):
            shutil.copy("text.txt", folder)
        start = [] if processes == 1 else mpirun(processes)
        try:
            result = subprocess.run([*(launcher or start), program or self.train_gpt, *flags], cwd=folder, env=ENVIRONMENT,
                                    capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            self.expect(False, f"{folder}: {processes} processes with {' '.join(flags)} hang")
            return None, "", ""
        return result.returncode, result.stdout, result.stderr

    def good_run(self, folder, processes, flags, **others):
        status, out, err = self.run(folder, processes, flags, **others)
        self.expect(status == 0, f"{folder}: {processes} processes with {' '.join(flags)}: exit status {status}: {err[-500:]}")
        return out

    def agree(self, folder, reference, limit=1e-5):
        """The losses of each step and the validation losses are those of another run."""
        for key in ("loss", "val_loss"):
            mine, other = values(folder, key), values(reference, key)
            self.expect(mine and mine.keys() == other.keys(), f"{folder}: has {key} of other steps than {reference}")
            worst = max((abs(mine[s] - other[s]) / other[s] for s in mine.keys() & other.keys()), default=0)
            print(f"{folder}: largest relative difference of {key}: {worst:.1e}")
            self.expect(worst <= limit, f"{folder}: {key} differs by {worst:.1e} from {reference}")

    # ---- The checks ---------------------------------------------------------------------------------------------------

    def any_number_of_processes(self):
        """1 to 4 processes compute the same losses; two runs the same bytes."""
        flags = [*SMALL, "--steps", "100"]
        self.good_run("one", 1, flags)
        for processes in (2, 3, 4):
            out = self.good_run(f"n{processes}", processes, flags)
            self.expect(f"processes  {processes}, " in out, f"{processes} processes do not say so")
            self.agree(f"n{processes}", "one")
        self.good_run("again", 3, flags)
        self.expect(same("again", "n3"), "two runs of 3 processes give different checkpoints")
        self.good_run("accumulated", 2, [*flags, "--batch", "4", "--grad-accum", "3"])
        self.agree("accumulated", "one")

    def sharded(self):
        """--shard-optimizer computes the same, in less memory, and its checkpoints are the same."""
        flags = [*SMALL, "--steps", "60"]
        self.good_run("whole", 1, flags)
        out = self.good_run("parts", 3, [*flags, "--shard-optimizer"])
        self.agree("parts", "whole")
        self.expect(re.search("memory ", out), "no line says how much memory a process needs")
        names = [set(re.findall(r'"([a-z0-9_.]+)":\{"dtype"', open(f"{d}/gpt_checkpoint.optimizer.bin", "rb").read(20000).decode("latin1")))
                 for d in ("whole", "parts")]
        self.expect(names[0] == names[1] and names[0], "the optimizer files hold other tensors")

    def resumed(self):
        """A checkpoint of N processes continues with any other number."""
        flags = [*SMALL, "--ckpt-every", "20"]
        self.good_run("straight", 1, [*flags, "--steps", "80"])
        self.good_run("changing", 3, [*flags, "--steps", "20", "--warmup-steps", "100"])
        for steps, processes, more in ((40, 1, []), (60, 4, ["--shard-optimizer"]), (80, 2, [])):
            self.good_run("changing", processes, ["--resume", "--steps", str(steps), *more])
        # The cosine depends on --steps, but within the warm-up the learning rates are the same.
        mine, other = values("changing", "loss"), values("straight", "loss")
        worst = max(abs(mine[s] - other[s]) / other[s] for s in other)
        self.expect(mine.keys() == other.keys() and worst < 1e-5, f"a run on 3, 1, 4 and 2 processes differs by {worst:.1e}")

    def generation(self):
        """Several processes print the samples of --prompts in order, and measure the same perplexity."""
        self.good_run("model", 1, [*SMALL, "--steps", "30"])
        with open("model/prompts.txt", "w") as file:
            file.write("".join(f"the {animal} " + "\n" for animal in ("cat", "dog", "bird", "fish", "cat", "a", "the")))
        for flags in (["--prompts", "prompts.txt", "--seed", "3", "--num-samples", "2", "--num-tokens", "20"],
                      ["--prompts", "prompts.txt", "--seed", "3", "--json", "--logprobs", "2"]):
            one, three = [self.good_run("model", n, [*flags, "--device", "cpu", "--threads", "1"], program=self.generate) for n in (1, 3)]
            self.expect(one == three and one, f"{' '.join(flags)}: 3 processes print something else than one")
        one, three = [json.loads(self.good_run("model", n, ["--perplexity", "text.txt", "--json", "--device", "cpu"], program=self.generate) or "{}")
                      for n in (1, 3)]
        self.expect(one and one.keys() == three.keys() and all(math.isclose(one[key], three[key], rel_tol=1e-6) if key != "file" else
                                                                one[key] == three[key] for key in one), f"perplexity: {one} and {three}")
        status, _, err = self.run("model", 2, ["--prompt", "the"], program=self.generate)
        self.expect(status not in (0, None) and "only --prompts and --perplexity can be shared" in err, f"--prompt in two processes: {err[-500:]}")

    def emulated(self):
        """The emulated GPU's processes run the same code, with copies to the host and back."""
        self.good_run("hip1", 1, ["10"], program=self.on_hip)
        for folder, processes, more in (("hip2", 2, []), ("hip3", 3, ["shard"])):
            self.good_run(folder, processes, ["10", *more], program=self.on_hip)
            self.agree(folder, "hip1")

    def gpus(self):
        """--gpus N starts N processes, whose collectives the emulated GPUs leave to NCCL."""
        self.good_run("gpus1", 1, ["10"], program=self.on_hip)
        for processes, more in ((2, []), (3, ["shard"])):
            folder = f"gpus{processes}"
            out = self.good_run(folder, processes, ["10", "gpus", str(processes), *more], program=self.on_hip, launcher=self.with_nccl)
            self.expect(f"processes  {processes}, connected by NCCL 2.0.1" in out, f"{folder}: NCCL is not named: {out[-500:]}")
            self.agree(folder, "gpus1")
        for name, rank, wanted, status in (("gpus_stopped", None, "", 143), ("gpus_killed", 1, r"rank 1 on host \S+ has ended", 1)):
            run, ranks = self.start_gpus(name)
            os.kill(run.pid if rank is None else ranks[rank], signal.SIGTERM if rank is None else signal.SIGKILL)
            ended, err = self.ends(run, name)
            self.expect(ended == status and re.search(wanted, err), f"{name}: exit status {ended}: {err[-500:]}")
            self.expect(not any(os.path.exists(f"/proc/{pid}") for pid in ranks.values()), f"{name}: ranks go on")
            self.expect(rank is not None or len(re.findall(r"^saved ", open(f"{name}/out").read(), re.M)) == 1, f"{name}: not saved once")
        status, _, err = self.run("gpus2", 2, ["12", "gpus", "2"], program=self.on_hip, launcher=["env"])
        self.expect(status == 1 and "rank 0 on host" in err and "there is no MPI" in err, f"no NCCL and no MPI: {err[-500:]}")
        status, _, err = self.run("gpus2", 1, [*SMALL, "--steps", "2", "--gpus", "2"])
        self.expect(status == 1 and "--gpus 2: this machine has 0 GPUs" in err, f"--gpus without a GPU: {err[-500:]}")
        status, _, err = self.run("gpus2", 1, ["2", "gpus", "3"], program=self.on_hip, launcher=["env", "RANK=0", "WORLD_SIZE=2", "LOCAL_RANK=0",
                                                                                                 "MASTER_ADDR=localhost", "MASTER_PORT=1"])
        self.expect(status == 1 and "--gpus 3: a launcher has already started" in err, f"--gpus under a launcher: {err[-500:]}")

    def start_gpus(self, folder):
        """Starts a long run on two emulated GPUs and returns it after its first step, with its process ids by rank."""
        os.makedirs(folder)
        shutil.copy("text.txt", folder)
        with open(f"{folder}/out", "w") as out, open(f"{folder}/err", "w") as err:
            run = subprocess.Popen([*self.with_nccl, self.on_hip, "1000000", "gpus", "2"], cwd=folder, stdout=out, stderr=err)
        deadline = time.time() + PATIENCE
        while "loss" not in open(f"{folder}/out").read() and run.poll() is None and time.time() < deadline:
            time.sleep(0.05)
        pids = subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True).stdout.split()
        ranks = {int(re.search(r"\0RANK=(\d+)", "\0" + open(f"/proc/{pid}/environ").read())[1]): int(pid) for pid in pids}
        self.expect(sorted(ranks) == [0, 1], f"{folder}: the ranks are {ranks}")
        return run, ranks

    def start(self, folder, processes, flags, launcher=None):
        """Starts a long run and returns it once it has saved. Also returns the ranks' process ids, in order of rank."""
        os.makedirs(folder, exist_ok=True)
        shutil.copy("text.txt", folder)
        with open(f"{folder}/out", "w") as out, open(f"{folder}/err", "w") as err:
            run = subprocess.Popen([*(launcher or mpirun(processes)), self.train_gpt, *SMALL, "--eval-every", "0", *flags], cwd=folder,
                                   env=ENVIRONMENT, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
        deadline = time.time() + PATIENCE
        while not os.path.exists(f"{folder}/gpt_checkpoint.bin") and run.poll() is None and time.time() < deadline:
            time.sleep(0.02)
        ranks = {}
        for pid in subprocess.run(["pgrep", "-x", "train_gpt"], capture_output=True, text=True).stdout.split():
            try:
                variables = dict(v.split("=", 1) for v in open(f"/proc/{pid}/environ").read().split("\0") if "=" in v)
                if os.path.realpath(f"/proc/{pid}/cwd") == os.path.realpath(folder):
                    ranks[int(variables.get("OMPI_COMM_WORLD_RANK", variables.get("PMI_RANK", -1)))] = int(pid)
            except OSError:
                pass
        self.expect(sorted(ranks) == list(range(processes)), f"{folder}: the ranks are {ranks}")
        return run, ranks

    def ends(self, run, folder, limit=DETECTED):
        """The exit status, or None if the run still goes on after the limit. Returns (status, stderr)."""
        try:
            status = run.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            self.expect(False, f"{folder}: the run goes on {limit} s after it lost a process")
            run.kill()
            status = None
        return status, open(f"{folder}/err").read()

    def killed(self):
        """A rank dies at a random moment: all end with a line that names it, and another number of ranks goes on."""
        for kill in range(self.kills):
            folder, processes = f"killed{kill}", self.random.choice([2, 3, 4])
            run, ranks = self.start(folder, processes, ["--steps", "1000000", "--ckpt-every", "3"])
            rank = self.random.randrange(processes)
            time.sleep(self.random.uniform(0, 1))
            os.kill(ranks[rank], signal.SIGKILL)
            status, err = self.ends(run, folder)
            self.expect(status not in (0, None), f"{folder}: exit status {status}")
            self.expect(re.search(f"rank {rank} on host \\S+ has ended", err), f"{folder}: no line names rank {rank}: {err[-800:]}")
            saved = step_of(folder)
            other = self.random.choice([n for n in (1, 2, 3) if n != processes])
            out = self.good_run(folder, other, ["--resume", "--steps", str(saved + 3)])
            self.expect(re.search(r"after step (\d+)", out) and int(re.search(r"after step (\d+)", out)[1]) >= saved - 3,
                        f"{folder}: does not continue at step {saved}: {out[-500:]}")
            shutil.rmtree(folder)

    def hanging(self):
        """A rank that hangs is noticed."""
        run, ranks = self.start("hanging", 3, ["--steps", "1000000", "--ckpt-every", "3"])
        os.kill(ranks[1], signal.SIGSTOP)
        status, err = self.ends(run, "hanging")
        self.expect(status not in (0, None), f"a run with a rank that hangs ends with {status}")
        self.expect(re.search(r"rank 1 on host \S+ has not answered for 15 s", err), f"no line names the rank that hangs: {err[-800:]}")

    def network(self):
        """Two hosts whose link delays and drops packets compute the same. If it is cut, all end, and the host is named."""
        try:
            hosts = TwoHosts()
            hosts.__enter__()
        except OSError as problem:
            print(f"network: skipped: {problem}")
            return
        try:
            # MPI starts processes on another host by a command that it calls as ssh.
            with open("agent", "w") as file:
                file.write(f"#!/bin/sh\nshift\nexec {shlex.join(hosts.command(1, ['sh', '-c']))} \"$*\"\n")
            os.chmod("agent", 0o755)
            subnet = "10.77.0.0/24"
            launcher = hosts.command(0, [*mpirun(3), "--host", f"{ADDRESSES[0]}:2,{ADDRESSES[1]}:1", "--mca", "plm_rsh_agent",
                                         os.path.abspath("agent"), "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", subnet,
                                         "--mca", "oob_tcp_if_include", subnet, "--wdir", os.path.abspath("network")])
            flags = [*SMALL, "--steps", "30"]
            self.good_run("near", 1, flags)
            hosts.delay, hosts.loss = 0.002, 0.01
            out = self.good_run("network", 3, flags, launcher=launcher)
            self.agree("network", "near")
            self.expect("processes  3, " in out, f"not 3 processes on two hosts: {out[-500:]}")
            hosts.delay, hosts.loss = 0, 0
            shutil.rmtree("network")
            run, ranks = self.start("network", 3, ["--steps", "1000000", "--ckpt-every", "3"], launcher=launcher)
            hosts.cut = True
            # mpirun itself waits longer for its own process on the other host.
            deadline = time.time() + DETECTED
            while time.time() < deadline and any(os.path.exists(f"/proc/{pid}") for pid in ranks.values()):
                time.sleep(0.1)
            left = [rank for rank, pid in ranks.items() if os.path.exists(f"/proc/{pid}")]
            self.expect(not left, f"ranks {left} go on {DETECTED} s after the link is cut")
            with open("network/err") as file:
                err = file.read()
            self.expect(re.search(f"rank 2 on host {HOSTS[1]} has not answered for 15 s", err), f"no line names the host: {err[-800:]}")
            run.kill()
        finally:
            hosts.__exit__()

    def stopped(self):
        """SIGTERM to any rank saves once and ends all."""
        for rank in (0, 2):
            folder = f"stopped{rank}"
            run, ranks = self.start(folder, 3, ["--steps", "1000000", "--ckpt-every", "3"])
            os.kill(ranks[rank], signal.SIGTERM)
            status, err = self.ends(run, folder)
            out = open(f"{folder}/out").read()
            self.expect(status == 128 + signal.SIGTERM, f"{folder}: exit status {status}: {err[-500:]}")
            self.expect(len(re.findall(r"^saved ", out, re.M)) == 1 and "has ended" not in err, f"{folder}: {out[-500:]} {err[-500:]}")
            self.expect(int(re.search(r"of step (\d+); --resume continues", out)[1]) == step_of(folder), f"{folder}: {out[-300:]}")

    def refused(self):
        """Processes that differ are named, and so is a batch that is too small."""
        os.makedirs("refused", exist_ok=True)
        shutil.copy("text.txt", "refused")
        one = [self.train_gpt, *SMALL, "--steps", "2"]
        launcher = mpirun(1)
        other = [*launcher, *one, ":", "-n", "1", *one, "--lr", "0.01"]
        status, out, err = self.run("refused", 2, [], program="--version", launcher=["true"])
        result = subprocess.run(other, cwd="refused", env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)
        self.expect(result.returncode != 0 and re.search(r"rank 1 on host \S+: its flag lr is --lr=0.01, but that of rank 0 is missing", result.stderr),
                    f"another flag is not named: {result.stderr[-800:]}")
        self.expect("has ended" not in result.stderr, f"the others do not end quietly: {result.stderr[-800:]}")
        # What went wrong in another process is reported by the leader.
        os.makedirs("refused/elsewhere", exist_ok=True)
        result = subprocess.run([*launcher, *one, ":", "-n", "1", "-wdir", os.path.abspath("refused/elsewhere"), *one], cwd="refused",
                                env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)
        self.expect(result.returncode != 0 and re.search(r"rank 1 on host \S+: .*text\.txt", result.stderr) and
                    "has ended" not in result.stderr, f"a missing text is not named: {result.stderr[-800:]}")
        shutil.copy(self.train_gpt, "refused/other_gpt")
        with open("refused/other_gpt", "ab") as file:
            file.write(b"another build")
        for module in glob.glob(os.path.join(os.path.dirname(self.train_gpt), "libhipgpt_mpi.so")):
            shutil.copy(module, "refused")
        result = subprocess.run([*launcher, *one, ":", "-n", "1", os.path.abspath("refused/other_gpt"), *one[1:]], cwd="refused",
                                env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)
        self.expect(result.returncode != 0 and re.search(r"rank 1 on host \S+: its program is ", result.stderr),
                    f"another build is not named: {result.stderr[-800:]}")
        status, out, err = self.run("refused", 4, [*SMALL, "--batch", "3", "--steps", "2"])
        self.expect(status not in (0, None) and "--batch 3: each of the 4 processes needs" in err, f"a batch of 3 for 4: {err[-500:]}")
        self.expect(not os.path.exists("refused/gpt_checkpoint.bin"), "a refused run wrote a checkpoint")
        # Without the module, the launcher is named instead of several runs in one folder.
        os.makedirs("bare", exist_ok=True)
        shutil.copy(self.train_gpt, "bare/bare_gpt")
        status, out, err = self.run("bare", 2, [*SMALL, "--steps", "2"], program=os.path.abspath("bare/bare_gpt"))
        self.expect(status not in (0, None) and "its build has no MPI" in err, f"a build without MPI: {err[-500:]}")


def values(folder, key):
    with open(f"{folder}/metrics.jsonl") as file:
        records = [json.loads(line) for line in file]
    return {record["step"]: record[key] for record in records if key in record}


def same(folder, other):
    return all(open(f"{folder}/{name}", "rb").read() == open(f"{other}/{name}", "rb").read()
               for name in ("gpt_checkpoint.bin", "gpt_checkpoint.optimizer.bin"))


def step_of(folder):
    with open(f"{folder}/gpt_checkpoint.bin", "rb") as file:
        return int(re.search(rb'"step":"(\d+)"', file.read(20000))[1])


def text():
    """Words of a small grammar, from which a model of this size learns in 100 steps."""
    words = random.Random(1)
    return " ".join(words.choice(["the", "a"]) + " " + words.choice(["cat", "dog", "bird", "fish"]) + " " +
                    words.choice(["sees", "hears", "follows"]) + words.choice([".\n", " it.", " us,"]) for _ in range(8000))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--kills", type=int, default=4, help="runs of which one process is killed")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", default="", help="the name of one check")
    arguments = parser.parse_args()
    names = ["gpus"]
    if shutil.which("mpirun") is not None and os.path.exists(os.path.join(arguments.build, "libhipgpt_mpi.so")):
        names += ["any_number_of_processes", "sharded", "resumed", "generation", "emulated", "killed", "hanging", "network", "stopped", "refused"]
    else:
        print("there is no mpirun, or the build has no MPI")
    checks = Checks(os.path.abspath(arguments.build), arguments.kills, arguments.seed)
    print(f"seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with open("text.txt", "w") as file:
            file.write(text())
        for name in names:
            if arguments.only not in ("", name):
                continue
            start = time.time()
            getattr(checks, name)()
            print(f"{name}: {time.time() - start:.1f} s", flush=True)
        os.chdir("/")
    return 1 if checks.failures else 0


if __name__ == "__main__":
    sys.exit(main())
