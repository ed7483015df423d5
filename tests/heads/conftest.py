"""Lets failed assertions in the contract suite show their values, as those in test files do."""

import pytest

pytest.register_assert_rewrite("head_contract")
