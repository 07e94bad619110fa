from pathlib import Path

import pytest

from apollo_common.errors import InvalidSetting
from apollo_common.storage.environment import environment_access
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.settings import CoordinatorSettings

KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize(
    ("given", "volume", "url"),
    [
        ("", Path("/data/intermediate"), "file:///data/intermediate"),
        ("/mnt/shared", Path("/mnt/shared"), "file:///mnt/shared"),
        ("file:///mnt/shared/", Path("/mnt/shared"), "file:///mnt/shared"),
        ("s3://bucket/some/prefix/", None, "s3://bucket/some/prefix"),
        ("s3://bucket", None, "s3://bucket"),
    ],
)
def test_map_outputs_lie_where_the_setting_says(given, volume, url):
    settings = CoordinatorSettings.load({"APOLLO_DATA_DIR": "/data", "APOLLO_INTERMEDIATE_DIR": given})
    assert (settings.volume, settings.intermediate_url) == (volume, url)


@pytest.mark.parametrize("given", ["https://host/bucket/prefix", "s3:///prefix", "gs://bucket"])
def test_a_place_that_is_none_is_refused_by_the_settings_name(given):
    with pytest.raises(InvalidSetting, match="APOLLO_INTERMEDIATE_DIR"):
        CoordinatorSettings.load({"APOLLO_INTERMEDIATE_DIR": given})


def test_keys_of_the_environment_are_handed_on_with_where_they_are_for():
    environment = {**KEYS, "AWS_SESSION_TOKEN": "token", "AWS_ENDPOINT_URL": "http://all", "AWS_REGION": "here"}
    assert environment_access(environment) == StorageAccess("http://all", "here", "id", "secret", "token")
    assert environment_access({**environment, "AWS_ENDPOINT_URL_S3": "http://s3"}).endpoint_url == "http://s3"


@pytest.mark.parametrize("missing", KEYS)
def test_without_keys_each_process_uses_what_it_finds_itself(missing):
    environment = {**KEYS, "AWS_ENDPOINT_URL_S3": "http://s3"}
    del environment[missing]
    assert environment_access(environment) == StorageAccess()
