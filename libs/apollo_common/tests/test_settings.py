import pytest
from pydantic import SecretStr, ValidationError

from apollo_common.errors import InvalidSetting
from apollo_common.settings import MAX_SECRET_BYTES, CommaSeparated, LogLevel, Settings


class Sample(Settings):
    port: int = 8090
    token: SecretStr = SecretStr("")
    workers: CommaSeparated = ()
    log_level: LogLevel = "INFO"


def test_a_setting_comes_from_its_variable():
    sample = Sample.load({"APOLLO_PORT": "7000", "APOLLO_WORKERS": "a:1, b:2,", "PORT": "1"})
    assert (sample.port, sample.workers) == (7000, ("a:1", "b:2"))


def test_what_is_given_wins_over_the_environment():
    assert Sample.load({"APOLLO_PORT": "7000"}, port=1).port == 1


def test_an_empty_variable_counts_as_unset():
    assert Sample.load({"APOLLO_PORT": ""}).port == 8090


def test_a_wrong_setting_is_named_by_its_variable_and_not_by_its_value():
    with pytest.raises(InvalidSetting) as raised:
        Sample.load({"APOLLO_PORT": "s3cr3t"})
    assert "APOLLO_PORT" in str(raised.value)
    assert "s3cr3t" not in str(raised.value)


def test_a_level_of_logs_is_one_that_there_is():
    assert Sample.load({"APOLLO_LOG_LEVEL": "debug"}).log_level == "DEBUG"
    with pytest.raises(InvalidSetting, match="APOLLO_LOG_LEVEL: Input should be 'DEBUG', 'INFO'"):
        Sample.load({"APOLLO_LOG_LEVEL": "LOUD"})


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        Sample.load({}).port = 1


def test_a_secret_may_lie_in_a_file(tmp_path):
    (tmp_path / "token").write_text("s3cr3t\n")
    lies_there = {"APOLLO_TOKEN_FILE": str(tmp_path / "token")}
    assert Sample.load(lies_there).token.get_secret_value() == "s3cr3t"
    assert Sample.load(lies_there | {"APOLLO_TOKEN": "nearer"}).token.get_secret_value() == "nearer"


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff"])
def test_a_file_without_a_secret_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(InvalidSetting, match=r"APOLLO_TOKEN_FILE: .*token"):
        Sample.load({"APOLLO_TOKEN_FILE": str(tmp_path / "token")})


def test_a_file_that_is_too_long_for_a_secret_is_refused_and_not_cut(tmp_path):
    there = {"APOLLO_TOKEN_FILE": str(tmp_path / "token")}
    (tmp_path / "token").write_text("s" * MAX_SECRET_BYTES)
    assert len(Sample.load(there).token.get_secret_value()) == MAX_SECRET_BYTES
    (tmp_path / "token").write_text("s" * MAX_SECRET_BYTES + "s")
    with pytest.raises(InvalidSetting, match=r"APOLLO_TOKEN_FILE: .*token is longer than 65536 bytes"):
        Sample.load(there)


def test_only_secrets_lie_in_files(tmp_path):
    (tmp_path / "port").write_text("7000")
    assert Sample.load({"APOLLO_PORT_FILE": str(tmp_path / "port")}).port == 8090


def test_a_secret_has_no_repr():
    assert "s3cr3t" not in repr(Sample.load({"APOLLO_TOKEN": "s3cr3t"}))
