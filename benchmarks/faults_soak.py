"""The app, used for hours: visitors come, make molecules, filter, upload, report and go; memory each minute."""

import csv
import itertools
import random
import shutil
import sys
import threading
import time
from pathlib import Path

import numpy as np
from faults_tools import Outcome, app
from playwright.sync_api import Browser, Error, Page, sync_playwright
from processes import memory

MODELS = ("qm9-edge", "qm9-digress")
STEPS = 20
PARTS = ("[#8]", "[#7]", "[R]", "C")
SLOW = 600_000  # milliseconds: the machine may be busy with other work
BROWSER_VISITS = 20  # then a new one: its memory is no concern of ours
COLUMNS = ("minute", "megabytes", "actions", "failed")


class Visitors:
    """They come one after the other; each does a few things, with a pause after each."""

    def __init__(self, address: str, pause: float, molecules: int) -> None:
        self.address, self.pause, self.molecules = address, pause, molecules
        self.random = random.Random(0)
        self.actions = self.failed = 0
        self.faults: list[str] = []

    def visit(self, browser: Browser) -> None:
        """One visitor, from the first page to the closed tab; what goes wrong is counted."""
        context = browser.new_context(viewport={"width": 1280, "height": 1000})
        page = context.new_page()
        page.set_default_timeout(SLOW)
        for action in (self.generate, self.narrow, self.upload, self.report):
            try:
                self.actions += 1
                action(page)
                if page.get_by_test_id("stException").count():
                    raise Error("the page shows an exception")
            except Error as error:
                self.failed += 1
                self.faults.append(f"{action.__name__}: {str(error).splitlines()[0]}")
                break
            time.sleep(self.pause)
        context.close()

    def generate(self, page: Page) -> None:
        model = self.random.choice(MODELS)
        wanted = f"num={self.molecules}&steps-{model}={STEPS}&seed={self.random.randrange(10**6)}"
        page.goto(f"{self.address}/?model={model}&{wanted}")
        page.get_by_role("button", name="Make molecules").click()
        page.get_by_text("The same molecules on the command line").wait_for()

    def narrow(self, page: Page) -> None:
        page.get_by_text("Look at all of them").click()
        page.get_by_role("heading", name="Look and filter").wait_for()
        page.get_by_label("Has the part (SMARTS)").fill(self.random.choice(PARTS))
        page.keyboard.press("Enter")
        page.wait_for_timeout(1_000)
        page.get_by_text(" molecules").first.wait_for()

    def upload(self, page: Page) -> None:
        chains = ["C" * length + self.random.choice("ONC") for length in range(1, 12)]
        content = "smiles\n" + "".join(f"{chain}\n" for chain in [*chains, "CC.O", "nonsense"])
        link(page, "Judge your own")
        page.get_by_test_id("stMain").locator("input[type=file]").set_input_files(
            [{"name": "mine.csv", "mimeType": "text/csv", "buffer": content.encode()}]
        )
        page.get_by_role("button", name="Judge the file").click()
        page.get_by_text("2 rows rejected").wait_for()

    def report(self, page: Page) -> None:
        link(page, "Compare and report")
        page.get_by_role("button", name="Judge and write the report").click()
        page.get_by_role("button", name="report.html").wait_for()


def link(page: Page, name: str) -> None:
    """Go to a page by the list beside."""
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
    page.get_by_role("heading", level=1, name=name.split()[0]).first.wait_for()
    page.wait_for_timeout(500)


def soak(hours: float, pause: float, molecules: int, path: Path) -> Outcome:
    """Use the app for some hours; one line a minute goes to a CSV file at `path`."""
    server, address = app()
    visitors, over = Visitors(address, pause, molecules), threading.Event()
    watch = threading.Thread(target=_watch, args=(server.pid, visitors, path, over), daemon=True)
    watch.start()
    end = time.monotonic() + 3600 * hours
    try:
        with sync_playwright() as driver:
            while time.monotonic() < end and server.poll() is None:
                browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                for _ in range(BROWSER_VISITS):
                    if time.monotonic() < end:
                        visitors.visit(browser)
                browser.close()
        ended = server.poll()
    finally:
        over.set()
        watch.join()
        server.terminate()
        server.wait(30)
    for fault in visitors.faults:
        print(f"soak: {fault}", file=sys.stderr)
    died = "" if ended is None else f"; the server ended with {ended}"
    return Outcome(
        f"app: {hours:g} h of visitors", visitors.actions, visitors.failed + bool(died), summary(path) + died
    )


def _watch(pid: int, visitors: Visitors, path: Path, over: threading.Event) -> None:
    """Write a line each minute."""
    begun = time.monotonic()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for minute in itertools.count(1):
            if over.wait(begun + 60 * minute - time.monotonic()):
                return
            writer.writerow((minute, round(1000 * memory(pid)), visitors.actions, visitors.failed))
            file.flush()


def summary(path: Path, warm: float = 0.5) -> str:
    """Memory in words: first, last, most, and the slope after the first share `warm` of the time."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    minutes = np.array([float(row["minute"]) for row in rows])
    megabytes = np.array([float(row["megabytes"]) for row in rows])
    if len(rows) < 4:
        return "too short to tell about memory"
    late = minutes >= warm * minutes[-1]
    slope = 60 * np.polyfit(minutes[late], megabytes[late], 1)[0]
    return (
        f"memory {megabytes[0]:.0f} MB after the first minute, {megabytes[-1]:.0f} at the end, {megabytes.max():.0f} "
        f"at most; {slope:+.0f} MB an hour from minute {minutes[late][0]:.0f} on"
    )
