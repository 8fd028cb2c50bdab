import doctest

import pytest

from edgekit.devices import names, shell, uri
from edgekit.devices.names import check_name
from edgekit.errors import InputError


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "my model's é.bin", "a-b", "_x", "~"])
def test_names_of_files_are_taken_as_they_are(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "-rf", "a/b", "/a", "a\\b", "a\nb", "a\0b", "\x7f", "a\x7f"]
)
def test_what_leaves_the_folder_or_reads_as_an_option_is_refused(name):
    with pytest.raises(InputError, match="cannot be called"):
        check_name(name)


@pytest.mark.parametrize("module", [names, shell, uri])
def test_the_examples_hold(module):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed
