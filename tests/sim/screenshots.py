"""Pictures of every page: python -m tests.sim.screenshots [FOLDER] [NAME…]

Writes NAME-STATE-WIDTH-SCHEME.webp for each page of `pages` × 390 and 1440 pixels × light and dark × each state.
"""

from __future__ import annotations

import argparse
import base64
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

from tests.servers.chromium import chromium
from tests.sim.page_server import PageServer
from tests.sim.pages import ALL, PAGES, Shown, servers

FOLDER = Path("build/screens")
WIDTHS = (1440, 390)
SCHEMES = ("light", "dark")
TALLEST = 4_000  # pixels


def emulate(browser: Any, width: int, scheme: str = "light", height: int = 0) -> None:
    phone = width < 600
    size = {"width": width, "height": height or (844 if phone else 900), "deviceScaleFactor": 1, "mobile": phone}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    listed = [{"name": name, "value": value} for name, value in features.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": listed})


def open_page(browser: Any, server: PageServer, path: str) -> None:
    """Until its values stand and its pictures are there."""
    browser.get(server.url + path)
    ready = (
        "const waiting = [...document.querySelectorAll('[data-camera][data-is=running] img[hidden]')]"
        ".some((image) => image.getBoundingClientRect().top < innerHeight);"
        "return document.querySelector('#link[data-is=live]') !== null && !waiting"
    )
    until = time.monotonic() + 8
    while time.monotonic() < until and not browser.execute_script(ready):
        time.sleep(0.05)


def sign_in(browser: Any, server: PageServer) -> None:
    """And wait until it is done: the next page must not overtake it."""
    browser.get(server.sign_in_link())
    browser.find_element("css selector", ".alone button").click()
    until = time.monotonic() + 20
    while time.monotonic() < until and not browser.find_elements("id", "board"):
        time.sleep(0.05)


def picture(browser: Any) -> bytes:
    """WebP of what the window shows."""
    answer = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "webp", "quality": 82})
    return base64.b64decode(answer["data"])


def whole(browser: Any, width: int, scheme: str) -> bytes:
    """WebP of the page from its top to its end, by a window as tall as that."""
    height = browser.execute_script("return document.documentElement.scrollHeight")
    emulate(browser, width, scheme, min(height, TALLEST))
    time.sleep(0.7)  # charts are drawn anew, pictures further down come
    return picture(browser)


def shots(browser: Any, server: PageServer, shown: Shown, state: str) -> Iterator[tuple[str, bytes]]:
    for width, scheme in product(WIDTHS, SCHEMES):
        emulate(browser, width, scheme)
        open_page(browser, server, shown.path)
        name = f"{shown.name}-{state}-{width}-{scheme}.webp"
        if not shown.open:
            yield name, whole(browser, width, scheme)
            continue
        browser.execute_script(f"document.querySelector({shown.open!r}).click()")
        time.sleep(0.3)
        yield name, picture(browser)


def write(folder: Path, names: Iterable[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [each for each in PAGES if not names or each.name in names]
    with tempfile.TemporaryDirectory() as state_folder, servers(Path(state_folder)) as found, chromium() as browser:
        for state in ALL:
            sign_in(browser, found[state])
            for shown in wanted:
                if state in shown.states:
                    for name, content in shots(browser, found[state], shown, state):
                        (folder / name).write_bytes(content)
                        print(folder / name, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.screenshots", description="Pictures of every page.")
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER, help=f"where they go; default: {FOLDER}")
    names = sorted({each.name for each in PAGES})
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    told = parser.parse_args()
    if unknown := set(told.names) - set(names):
        parser.error(f"no page is called {', '.join(sorted(unknown))}")
    write(told.folder, told.names)


if __name__ == "__main__":
    main()
