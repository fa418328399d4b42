"""Map the top-level folders to import names under `symposia`; everything else stands in pyproject.toml."""

from setuptools import find_packages, setup

PARTS = ("graphs", "nodes", "tools", "state")

setup(
    packages=[
        *find_packages(include=["symposia", "symposia.*"]),
        *(f"symposia.{name}" for part in PARTS for name in (part, *(f"{part}.{sub}" for sub in find_packages(part)))),
    ],
    package_dir={"symposia": "symposia", **{f"symposia.{part}": part for part in PARTS}},
)
