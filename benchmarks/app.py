"""How fast the app answers: first molecule on screen, cards and a table of 1,000, memory with five visitors.

python benchmarks/app.py

Starts the app as `molgen app` does and uses it in a headless Chromium, which needs a part of the same cores. Linux only
(memory is read from /proc).
"""

import argparse
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

from playwright.sync_api import Page, sync_playwright
from processes import memory

VISITORS = 5
START = "from molgen.cli import main; main()"


def started() -> tuple[subprocess.Popen, str]:
    """The app on a free port, and its address, when it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-c", START, "app", "--headless", f"--port={port}"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
                return process, address
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the app did not start")


def make(page: Page, address: str, count: int, seed: int) -> tuple[float, float]:
    """Seconds from the click to the first structure and to the end."""
    page.goto(f"{address}/?num={count}&seed={seed}")
    page.get_by_role("button", name="Make molecules").wait_for()
    page.wait_for_timeout(1_000)
    begun = time.perf_counter()
    page.get_by_role("button", name="Make molecules").click()
    page.get_by_test_id("stImage").first.wait_for()
    first = time.perf_counter() - begun
    page.get_by_text("The same molecules on the command line").wait_for()
    return first, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    process, address = started()
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.set_default_timeout(300_000)
            page.goto(f"{address}/molecule?smiles=CCO")
            page.get_by_text("Nearest in").first.wait_for()  # the known molecules are ready
            first, whole = make(page, address, 100, 1)
            print("| what | |\n|---|---|")
            print(f"| first molecule on screen, s | {first:.1f} |\n| all 100, judged and compared, s | {whole:.1f} |")
            again, whole = make(page, address, 1_000, 2)
            print(f"| first of 1,000 on screen, s | {again:.1f} |\n| all 1,000, judged and compared, s | {whole:.1f} |")
            begun = time.perf_counter()
            page.get_by_text("Look at all of them").click()
            page.get_by_role("heading", name="Download").wait_for()
            page.get_by_test_id("stImage").nth(23).wait_for()
            print(f"| cards of 1,000 on screen (24 to a page), s | {time.perf_counter() - begun:.1f} |")
            begun = time.perf_counter()
            page.get_by_test_id("stButtonGroup").get_by_text("Table", exact=True).click()
            page.get_by_test_id("stDataFrame").first.wait_for()
            print(f"| table of 1,000 on screen (50 to a page), s | {time.perf_counter() - begun:.1f} |")
            alone = memory(process.pid)
            for visitor in range(1, VISITORS):
                other = browser.new_context().new_page()
                other.set_default_timeout(300_000)
                make(other, address, 100, 10 + visitor)
            print(f"| memory of the server with one visitor, GB | {alone:.2f} |")
            print(f"| memory with {VISITORS} visitors, each with a set, GB | {memory(process.pid):.2f} |")
            browser.close()
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    main()
