from pathlib import Path

import pytest

from apollo_common.errors import InvalidSetting
from apollo_coordinator.settings import CoordinatorSettings


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
