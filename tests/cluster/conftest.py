from __future__ import annotations

import jaxtyping
import pytest


@pytest.fixture
def without_type_checks(monkeypatch):
    """Call the package as users run it: annotations unchecked, so that its own refusals must act."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
