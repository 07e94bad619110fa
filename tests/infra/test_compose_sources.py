"""infra/compose/sources.yml: what the images hold of this repository is taken from the checkout, all of it."""

import re
from pathlib import PurePosixPath

import yaml

from support.apollo_cli import REPOSITORY

PACKAGE = re.compile(r"^COPY ((?:libs|services)/\w+) ", re.MULTILINE)


def test_every_package_of_the_images_is_loaded_from_the_checkout():
    services = yaml.safe_load((REPOSITORY / "infra/compose/sources.yml").read_text())["services"]
    for name, service in services.items():
        packages = PACKAGE.findall((REPOSITORY / f"services/{name}/Dockerfile").read_text())
        loaded = {PurePosixPath(path) for path in service["environment"]["PYTHONPATH"].split(":")}
        assert packages
        assert {PurePosixPath("/src", package, "src") for package in packages} <= loaded, name


def test_every_place_that_packages_are_loaded_from_is_mounted():
    services = yaml.safe_load((REPOSITORY / "infra/compose/sources.yml").read_text())["services"]
    for name, service in services.items():
        mounted = dict(volume.split(":")[1::-1] for volume in service["volumes"])
        for path in map(PurePosixPath, service["environment"]["PYTHONPATH"].split(":")):
            (folder,) = [mount for mount in mounted if path.is_relative_to(mount)]
            assert (REPOSITORY / mounted[folder] / path.relative_to(folder)).is_dir(), f"{name}: {path}"
