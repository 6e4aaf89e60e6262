"""A page in a headless Chromium, driven by its DevTools protocol through two pipes."""

import base64
import json
import os
import select
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from experiments.browser import environment

# The protocol is spoken on file descriptors 3 and 4.
START = 'exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1'
# Nothing but the page asks the network for anything.
QUIET = ("--disable-background-networking", "--disable-component-update", "--no-first-run")
PATIENCE = 30.0  # Seconds for an answer, on a machine at work.
KEYS = {"ArrowUp": 38, "ArrowDown": 40, "ArrowLeft": 37, "ArrowRight": 39, "Escape": 27}


class Page:
    """An open page; `requests` has the addresses of all that it fetched, its own first."""

    def __init__(self, browser: Path, file: Path, *, dark: bool = False, size=(1280, 900)):
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = [*QUIET, "--remote-debugging-pipe", f"--user-data-dir={self._profile.name}"]
        # A container has no namespaces for the sandbox, and root may not use it.
        self._process = subprocess.Popen(
            ["sh", "-c", START, str(browser), "--headless", "--no-sandbox", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(browser),
        )
        self._session, self._count, self._read = None, 0, b""
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        shape = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **shape)
        self.call("Page.navigate", url=file.as_uri())
        while not self._loaded:
            self._message()

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.kill()
        self._process.communicate()
        self._profile.cleanup()

    def evaluate(self, expression: str) -> Any:
        """Returns the value of an expression of JavaScript on the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            code = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
            self.call("Input.dispatchKeyEvent", type=kind, **code)

    def mouse(self, selector: str, *, x: float = 0.5, y: float = 0.5, click: bool = False) -> None:
        """Moves the pointer to a part of an element, and clicks."""
        box = self.evaluate(
            f"(({{x, y, width, height}}) => [x, y, width, height])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        place = {"x": box[0] + x * box[2], "y": box[1] + y * box[3]}
        self.call("Input.dispatchMouseEvent", type="mouseMoved", **place)
        for kind in ("mousePressed", "mouseReleased") if click else ():
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def picture(self, *, whole: bool = False) -> bytes:
        """Returns a picture of the window, or of the whole page, as PNG."""
        options: dict[str, Any] = {"captureBeyondViewport": whole}
        if whole:
            sizes = self.call("Page.getLayoutMetrics")["cssContentSize"]
            options["clip"] = {**sizes, "scale": 1}
        return base64.b64decode(self.call("Page.captureScreenshot", **options)["data"])

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        self._process.stdin.flush()
        while True:
            answer = self._message()
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _message(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._read:
            stream = self._process.stdout
            ready, _, _ = select.select([stream], [], [], max(0.0, end - time.monotonic()))
            read = os.read(stream.fileno(), 1 << 16) if ready else b""
            if not read:
                raise AssertionError(
                    "the browser ended" if ready else "the browser does not answer"
                )
            self._read += read
        first, _, self._read = self._read.partition(b"\0")
        message = json.loads(first)
        method, params = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"]))
        self._loaded |= method == "Page.loadEventFired"
        return message
