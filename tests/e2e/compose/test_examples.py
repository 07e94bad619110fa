"""The examples over the REST API; coreutils say what should come out."""

import pytest

from support.examples import EXAMPLES, put_texts

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", autouse=True)
def _texts(site):
    put_texts(site)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
async def test_an_example(site, rest, example, tmp_path):
    _job, output = await example.run(site, rest, tmp_path)
    assert output == example.expected()
