"""The project of a new user, made once for all tests of the flow."""

from __future__ import annotations

import pytest

from tests.flow.trained import Project, make_project


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("project"))
