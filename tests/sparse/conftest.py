"""Lets failed assertions in the contract suites show their values, as those in test files do."""

import pytest

for module in (
    "map_contract",
    "convolution_contract",
    "convolution_cases",
    "property_contract",
    "voxel_batches",
    "dense_oracle",
):
    pytest.register_assert_rewrite(module)
