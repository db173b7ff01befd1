#!/usr/bin/python3
"""checks.py: everything ./check does once the packages are there: builds, runs every test, and adds up.

Each step gives a number passed and a number failed and shows what failed; the last line is `N passed, N failed`. The exit status is 0 only
when nothing failed. `scripts/checks.py unit layout` does these steps alone (their short names are in STEPS).
"""

import json
import os
import queue
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, f"{ROOT}/tests/e2e")

from cluster import AGENCY_SETTINGS, Postgres, Run, catch_signals      # noqa: E402

FOLDERS = ["proto", "shell", "daemon", "agents", "cli"]
CORES = os.cpu_count() or 1
SANITIZED = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:strict_string_checks=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
EACH_SECONDS = 300      # no unit test takes longer
E2E_SECONDS = 30 * 60
FUZZ_INPUTS = {"fuzz-catalog": 20_000}      # others, which are faster, get ten times as many
FUZZ_INPUTS_USUAL = 200_000


def run(argv, seconds=None, **options):
    """Status and all output; a time limit that passes counts as a failure that says so."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=seconds, check=False, **options)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        text = late.stdout or ""
        return 124, (text if isinstance(text, str) else text.decode(errors="replace")) + f"\nnot done after {seconds} seconds\n"


def sources(*endings):
    found = []
    for folder in [*FOLDERS, "tests"]:
        for place, _, files in os.walk(folder):
            found += [os.path.join(place, name) for name in files if name.endswith(endings)]
    return sorted(found)


def build(folder, *options):
    status, output = run(["scripts/build", folder, "-Dwerror=true", *options], 900)
    if status != 0:
        print(output)
    return int(status == 0), int(status != 0)


def programs(folder, wanted):
    """The tests of one suite."""
    status, output = run(["meson", "introspect", "--tests", folder])
    return [test for test in json.loads(output) if any(suite.split(":")[-1] == wanted for suite in test["suite"])] if status == 0 else []


def unit_test(folder, test, dsn):
    """Counts what cmocka says; a program that ends badly without saying what failed is one failure."""
    status, output = run(test["cmd"], EACH_SECONDS, env={**os.environ, **SANITIZED, "SELARAS_TEST_DSN": dsn}, cwd=folder)
    passed = sum(int(number) for number in re.findall(r"\[  PASSED  \] (\d+) test", output))
    failed = sum(int(number) for number in re.findall(r"\[  FAILED  \] (\d+) test", output))
    if status != 0 and failed == 0:
        failed = 1
    if status == 0 and passed == 0:
        failed, output = 1, output + "\nit ran no test\n"
    if failed:
        said = [line for line in output.splitlines() if re.search(r"\[  ERROR|\[  FAILED|\.c:\d+: error|ERROR: Add|runtime error|^ERROR:|^FATAL:", line)]
        print(f"--- {test['name']} (status {status})", *said[:40], output[-6000:], sep="\n")
    return passed, failed


def unit_tests():
    """Those of the driver and of the connection want a real server (SELARAS_TEST_DSN), each for itself while it runs: some change what
    holds for the whole server, such as how much WAL a slot may keep."""
    with Run() as here:
        free = queue.SimpleQueue()
        for number in range(CORES):
            server = Postgres(here, f"unit{number}", AGENCY_SETTINGS)
            server.created(server.create())
            server.start()
            server.ready()
            free.put(server.dsn("postgres"))

        def one(test):
            dsn = free.get()
            try:
                return unit_test("build-asan", test, dsn)
            finally:
                free.put(dsn)

        with ThreadPoolExecutor(CORES) as pool:
            results = list(pool.map(one, programs("build-asan", "unit")))
    return sum(passed for passed, _ in results), sum(failed for _, failed in results)


def fuzz():
    """One check a target: it ends well after as many mutated inputs as it was asked for."""
    good = bad = 0
    for test in programs("build-asan", "fuzz"):
        count = FUZZ_INPUTS.get(test["name"], FUZZ_INPUTS_USUAL)
        status, output = run([*test["cmd"], str(count)], EACH_SECONDS, env={**os.environ, **SANITIZED}, cwd="build-asan")
        well = status == 0 and output.startswith(f"{count} inputs")
        good, bad = good + well, bad + (not well)
        print(f"{test['name']}: {output.strip()}" if well else f"--- {test['name']} (status {status})\n{output[-6000:]}")
    return good, bad


def layout():
    """One check a file; which ones is enough to say, `ninja -C build clang-format` does the rest."""
    files = sources(".c", ".h")
    bad = [path for path in files if run(["clang-format", "--dry-run", "-Werror", path], EACH_SECONDS)[0] != 0]
    if bad:
        print("--- not as .clang-format says (ninja -C build clang-format):", *bad)
    return len(files) - len(bad), len(bad)


def known_findings():
    """What scripts/analysis-known says is none: (file, check) pairs."""
    with open("scripts/analysis-known", encoding="utf-8") as file:
        lines = [line.split(maxsplit=2) for line in file if line.strip() and not line.startswith("#")]
    return {(path, check) for path, check, _ in lines}


def analysis():
    """One check a file that is compiled, and one that each known finding still occurs."""
    with open("build/compile_commands.json", encoding="utf-8") as file:
        compiled = {os.path.relpath(os.path.join(unit["directory"], unit["file"]), ROOT) for unit in json.load(file)}
    files = [path for path in sources(".c") if path in compiled and not path.endswith("_test.c")]
    known = known_findings()

    def one(path):
        status, output = run(["clang-tidy", "-p", "build", "--quiet", path], EACH_SECONDS)
        found = re.findall(r"^(\S+):\d+:\d+: error: .* \[([\w.-]+),?", output, re.M)
        found = {(os.path.relpath(os.path.join("build", place) if place.startswith("..") else place, "."), check)
                 for place, check in found}
        good = found <= known and (status == 0 or bool(found))
        if not good:
            print(f"--- {path}\n{output[-4000:]}")
        return good, found

    with ThreadPoolExecutor(CORES) as pool:
        results = list(pool.map(one, files))
    stale = known - set().union(*(found for _, found in results))
    for path, check in sorted(stale):
        print(f"--- scripts/analysis-known: {path} no longer has {check}")
    bad = sum(not good for good, _ in results)
    return len(files) - bad, bad + len(stale)


def pytest(path, seconds, *options):
    report = "build/pytest.xml"
    if os.path.exists(report):
        os.remove(report)
    status, output = run([sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junit-xml", report, *options, path],
                         seconds)
    if status != 0:
        print(output[-20000:])
    if not os.path.exists(report):
        return 0, 1
    suite = xml.parse(report).getroot()[0]
    total, skipped = int(suite.get("tests")), int(suite.get("skipped"))
    failed = int(suite.get("failures")) + int(suite.get("errors"))
    if skipped:
        print(f"--- {skipped} tests in {path} were skipped, which counts as failed: nothing here is optional\n{output[-2000:]}")
    failed += skipped
    if status != 0 and failed == 0:
        failed = 1
    return max(0, total - failed), failed


def end_to_end():
    """Files side by side, each with servers of its own: most of the time a test waits for its daemons, not for the processor."""
    return pytest("tests/e2e", E2E_SECONDS, "-n", str(CORES + 1), "--dist", "loadfile", "--durations=5")


# Short name, name, what is done, and the steps without which it would say nothing.
STEPS = [
    ("build", "build", lambda: build("build"), []),
    ("sanitized", "build with sanitizers", lambda: build("build-asan", "-Db_sanitize=address,undefined"), []),
    ("unit", "unit tests, under sanitizers", unit_tests, ["sanitized"]),
    ("fuzz", "fuzz targets, under sanitizers", fuzz, ["sanitized"]),
    ("layers", "dependencies, text and manuals", lambda: pytest("tests/layers_test.py", 60, "tests/text_test.py"), []),
    ("layout", "layout (clang-format)", layout, []),
    ("analysis", "static analysis (clang-tidy)", analysis, ["build"]),
    ("e2e", "end to end", end_to_end, ["build"]),
]


def chosen(wanted):
    """The steps named, and what they need; all of them when none is named."""
    known = {short: needs for short, _, _, needs in STEPS}
    unknown = [short for short in wanted if short not in known]
    if unknown:
        sys.exit(f"no step is called {unknown[0]}; there are: {', '.join(known)}")
    wanted = set(wanted or known)
    wanted |= {need for short in wanted for need in known[short]}
    return [step for step in STEPS if step[0] in wanted]


def main():
    os.chdir(ROOT)
    catch_signals()
    passed = failed = 0
    broken = set()
    for short, name, step, needs in chosen(sys.argv[1:]):
        began = time.monotonic()
        if broken.intersection(needs):
            good, bad = 0, 1
            print(f"{name}: not run, because of: {', '.join(broken.intersection(needs))}")
        else:
            good, bad = step()
        if good + bad == 0:
            bad = 1                     # a step that found nothing to do did not do it
        if bad:
            broken.add(short)
        print(f"{name}: {good} passed, {bad} failed ({time.monotonic() - began:.0f} s)", flush=True)
        passed, failed = passed + good, failed + bad
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
