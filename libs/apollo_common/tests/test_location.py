import pytest

from apollo_common.errors import InvalidLocation
from apollo_common.storage.location import Location, endpoint_of, parse, resolve_inputs, resolve_output
from apollo_common.storage.port import StorageAccess

ACCESS = StorageAccess("", "eu-west-1", "id", "secret")


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("s3://bucket/a/b.txt", Location("s3", "bucket", "a/b.txt")),
        ("s3://bucket", Location("s3", "bucket", "")),
        ("s3://bucket/", Location("s3", "bucket", "")),
        ("s3://bucket/a%20b#c?d é//x", Location("s3", "bucket", "a%20b#c?d é//x")),
        ("file:///a/b%20c#d", Location("file", "", "/a/b%20c#d")),
        ("file:///", Location("file", "", "/")),
    ],
)
def test_store_urls_are_literal(url, location):
    assert parse(url) == location
    assert parse(location.url) == location


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("data/in.txt", "write s3://bucket/key"),
        ("/data/in.txt", "write s3://bucket/key"),
        ("", "write s3://bucket/key"),
        ("file://data/in.txt", "write file:///in.txt"),
        ("s3:///key", "write s3://bucket/key"),
        ("s3://a b/key", "write s3://bucket/key"),
        ("hdfs://host/x", "hdfs:// is not a kind"),
        ("s3://bucket/" + "x" * 1025, "1024"),
        ("file:///" + "x" * 5000, "4096"),
        ("file:///a\0b", "NUL"),
        ("file:///a\udcff", "UTF-8"),
    ],
)
def test_what_is_no_location_says_how_to_write_it(url, fix):
    with pytest.raises(InvalidLocation, match=fix):
        parse(url)


def test_plain_inputs_stay_as_they_are():
    urls = ["s3://bucket/*.txt", "file:///in/%41"]
    assert resolve_inputs(urls, ACCESS) == (urls, ACCESS)


def test_an_endpoint_in_the_location_becomes_part_of_the_access():
    urls, access = resolve_inputs(["http://minio:9000/bucket/a%20b/%C3%A9*.txt"], ACCESS)
    assert urls == ["s3://bucket/a b/é*.txt"]
    assert access == StorageAccess("http://minio:9000", "eu-west-1", "id", "secret")


def test_endpoints_are_compared_whatever_their_case():
    assert endpoint_of("https://Store.Example:9000/Bucket/Key") == "https://store.example:9000"
    assert (endpoint_of("s3://b/k"), endpoint_of("file:///k")) == ("", "")


@pytest.mark.parametrize("endpoint", ["", ":9000", "host:0", "host:99999", "host:x", "[::1", "a?b", "a#b"])
def test_what_is_no_endpoint_says_how_to_write_it(endpoint):
    with pytest.raises(InvalidLocation, match="write https://endpoint/bucket/key"):
        resolve_output(f"https://{endpoint}/bucket/key", ACCESS)


def test_an_encoded_wildcard_stands_for_itself_in_an_input():
    urls, _ = resolve_inputs(["https://host/bucket/%2A%5B1%5D%3F*?"], ACCESS)
    assert urls == ["s3://bucket/[*][[]1][?]*?"]


def test_an_output_is_decoded_as_it_is():
    url, access = resolve_output("https://host/bucket/out%2A%25/", ACCESS)
    assert (url, access.endpoint_url) == ("s3://bucket/out*%", "https://host")
    assert resolve_output("s3://bucket/out%25//", ACCESS) == ("s3://bucket/out%25", ACCESS)


def test_inputs_at_different_endpoints_are_refused():
    with pytest.raises(InvalidLocation, match="http://one and http://two"):
        resolve_inputs(["http://two/b/k", "http://one/b/k"], ACCESS)
    resolve_inputs(["http://one/b/k", "http://one/b/l", "s3://b/m"], ACCESS)


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("http://host/bucket/a#b", "%23"),
        ("http://host/bucket/100%", "%25"),
        ("http://host/bucket/%zz", "%25"),
        ("http://host/bucket/%ff", "UTF-8"),
        ("http:///bucket/key", "endpoint"),
        ("http://host/", "s3://bucket/key"),
    ],
)
def test_a_badly_encoded_location_says_how_to_write_it(url, fix):
    with pytest.raises(InvalidLocation, match=fix):
        resolve_inputs([url], ACCESS)


def test_a_password_in_a_location_is_refused_and_not_repeated():
    with pytest.raises(InvalidLocation) as error:
        resolve_output("https://user:hunter2@host/bucket/key", ACCESS)
    assert "hunter2" not in str(error.value)


def test_access_has_no_repr_of_its_secrets():
    assert "secret" not in repr(ACCESS)
