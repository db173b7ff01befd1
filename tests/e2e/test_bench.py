"""The benchmarks still run, and print what they are for; how fast is theirs to say, not a test's."""

import os
import re
import subprocess

from cluster import ROOT


def bench(program, *arguments):
    done = subprocess.run([f"{ROOT}/tests/bench/{program}", "--rounds", "1", "--residents", "50", *arguments],
                          capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_drain_prints_both_throughputs_and_their_ratio():
    output = bench("drain", "--changes", "200")
    for line in ("selaras", "native"):
        assert re.search(rf"^{line} +min [\d,]+  median [\d,]+  max [\d,]+ changes/s$", output, re.M), output
    assert re.search(r"^ratio +min \d+\.\d\d  median \d+\.\d\d  max \d+\.\d\d ", output, re.M), output


def test_latency_prints_both_and_their_ratio():
    output = bench("latency", "--rate", "50", "--seconds", "1")
    for name in ("p50", "p99"):
        assert re.search(rf"^{name} ratio +min \d+\.\d\d  median \d+\.\d\d  max \d+\.\d\d ", output, re.M), output
