"""Options and the keys made from them."""

import hashlib
from dataclasses import fields, replace
from pathlib import Path

import pytest

from thalgpu.engine.config import RECIPES, CleaningOptions, GradientOptions, canonical_json, config_key, recipe
from thalgpu.errors import UsageError

OTHER_VALUES = {
    str: "other",
    float: 0.123,
    int: 7,
    bool: False,
    tuple: ("projections",),
    type(None): 0.5,
}


def changed(options, name):
    value = getattr(options, name)
    return replace(options, **{name: (not value) if isinstance(value, bool) else OTHER_VALUES[type(value)]})


def test_recipes_set_their_group_and_leave_the_rest():
    congrads = recipe("congrads")
    assert (congrads.kernel, congrads.approach, congrads.graph) == ("eta2", "le", "epsilon")
    assert (congrads.sparsity, congrads.fisher_z) == (0.0, False)
    assert congrads.n_components == GradientOptions().n_components


def test_brainspace_is_the_default():
    assert recipe("brainspace") == GradientOptions()


def test_an_option_overrides_its_recipe():
    assert recipe("congrads", kernel="cosine").kernel == "cosine"
    assert recipe("congrads", kernel="cosine").approach == "le"


def test_unknown_recipe_names_the_known_ones():
    with pytest.raises(UsageError, match=f"unknown recipe 'x' — choose one of {', '.join(RECIPES)}"):
        recipe("x")


def test_key_is_the_same_for_equal_options_and_any_order_of_names():
    assert config_key(GradientOptions(), {"a": 1, "b": [2]}) == config_key(GradientOptions(), {"b": [2], "a": 1})


@pytest.mark.parametrize("options", [GradientOptions(), CleaningOptions()], ids=["gradients", "cleaning"])
def test_every_option_changes_the_key(options):
    keys = [config_key(changed(options, field.name)) for field in fields(options)]
    assert len({config_key(options), *keys}) == len(keys) + 1


def test_key_is_the_sha256_of_the_canonical_text():
    # results on users' disks are known by it
    assert config_key("a", 1, {"b": None}) == hashlib.sha256(b'["a",1,{"b":null}]').hexdigest()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_has_no_json(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": value})


def test_a_path_is_no_part_of_a_key():
    with pytest.raises(TypeError):
        config_key(Path("a"))
