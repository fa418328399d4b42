"""The fixtures of the browser's tests."""

from browser_home import chromium, desk, root, shelf  # noqa: F401 - fixtures
