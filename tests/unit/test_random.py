"""Permutations and sign flips: known answers, addresses, and chances."""

import itertools

import numpy as np
import pytest
from scipy import stats

from thalgpu.errors import UsageError
from thalgpu.kernels.random import permutations, random_bits, sign_flips


@pytest.mark.parametrize(
    ("counter", "seed", "words"),
    [
        ("00000000 00000000 00000000 00000000", "0000000000000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffffffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "299f31d0a4093822", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
    ids=["zeros", "ones", "digits of pi"],
)
def test_bits_are_the_published_known_answers(counter, seed, words):
    counters = np.array([[int(word, 16) for word in counter.split()]], dtype=np.uint32)
    found = random_bits(counters, int(seed, 16))
    assert [f"{word:08x}" for word in found[0]] == words.split()


@pytest.mark.parametrize("make", [permutations, sign_flips])
def test_rows_do_not_depend_on_the_block_they_are_made_in(make):
    whole = make(5, 2**32 - 20, 2**32 + 20, 37)
    cut = 2**32 + 3
    parts = make(5, 2**32 - 20, cut, 37), make(5, cut, 2**32 + 20, 37)
    assert np.array_equal(whole, np.concatenate(parts))


def test_every_row_is_a_permutation():
    rows = permutations(1, 0, 200, 61)
    assert rows.dtype == np.int32
    assert np.array_equal(np.sort(rows, axis=1), np.tile(np.arange(61), (200, 1)))


@pytest.mark.parametrize("make", [permutations, sign_flips])
def test_seeds_and_numbers_give_different_rows(make):
    rows = np.concatenate([make(seed, start, start + 50, 64) for seed in (0, 1, 2**32) for start in (0, 2**32)])
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_all_orders_of_four_items_are_equally_frequent():
    rows = permutations(0, 0, 48_000, 4)
    orders = {order: place for place, order in enumerate(itertools.permutations(range(4)))}
    counts = np.bincount([orders[tuple(row)] for row in rows.tolist()], minlength=24)
    # The numbers are fixed, so this passes always or never; a fair generator would pass with 1 − 1e-3.
    assert stats.chisquare(counts).pvalue > 1e-3


def test_every_item_is_in_every_place_equally_often():
    rows = permutations(3, 0, 20_000, 11)
    counts = np.stack([np.bincount(column, minlength=11) for column in rows.T])
    expected = len(rows) / 11
    # a doubly constrained table: (11 − 1)² degrees of freedom, and a variance of 10/11 of Poisson's in each cell
    statistic = ((counts - expected) ** 2).sum() / expected * 10 / 11
    assert 1e-3 < stats.chi2.sf(statistic, 100) < 1 - 1e-3


def test_flips_are_fair_and_independent():
    flips = sign_flips(11, 0, 20_000, 130)
    assert flips.dtype == np.int8
    assert set(np.unique(flips)) == {-1, 1}
    # sums of n independent signs over √n are standard normal; 130 + 130 · 129 / 2 of them stay below 5.2 with 1 − 2e-3
    products = flips.T.astype(np.float64) @ flips
    assert np.abs(flips.sum(axis=0)).max() / np.sqrt(len(flips)) < 5.2
    assert np.abs(products[np.triu_indices(130, 1)]).max() / np.sqrt(len(flips)) < 5.2


def test_flips_and_permutations_draw_different_bits():
    keys_first_bit = permutations(4, 0, 4_000, 2)[:, 0] * 2 - 1
    flips = sign_flips(4, 0, 4_000, 2)
    assert np.abs(keys_first_bit @ flips).max() / np.sqrt(4_000) < 4  # standard normal; below 4 with 1 − 1e-4


@pytest.mark.parametrize("n", [0, 1])
def test_few_items_and_no_numbers_have_rows_of_the_right_shape(n):
    assert permutations(0, 3, 7, n).shape == sign_flips(0, 3, 7, n).shape == (4, n)
    assert permutations(0, 7, 7, 5).shape == sign_flips(0, 7, 7, 5).shape == (0, 5)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((-1, 0, 1, 1), "seed must be from 0 to 18446744073709551615, not -1"),
        ((2**64, 0, 1, 1), "seed must be"),
        ((0.5, 0, 1, 1), "seed must be a whole number, not 0.5"),
        ((0, 2, 1, 1), "start must be from 0 to 1, not 2"),
        ((0, 0, 2**63 + 1, 1), "stop must be"),
        ((0, 0, 1, -1), "n must be"),
        ((0, 0, 1, 2**30 + 1), "n must be"),
    ],
)
@pytest.mark.parametrize("make", [permutations, sign_flips])
def test_addresses_out_of_range_are_refused(make, numbers, message):
    with pytest.raises(UsageError, match=message):
        make(*numbers)


@pytest.mark.parametrize("counters", [np.zeros(4, np.uint32), np.zeros((2, 3), np.uint32), np.zeros((2, 4), np.int64)])
def test_counters_of_another_kind_are_refused(counters):
    with pytest.raises(UsageError, match="counters must be"):
        random_bits(counters, 0)
