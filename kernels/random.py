"""Random permutations and sign flips as addresses: number i follows from (seed, i) alone, on every device alike."""

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.errors import UsageError
from thalgpu.kernels._cuda import int32, launch
from thalgpu.kernels._namespace import Array, get_namespace, is_device

MAX_ITEMS = 2**30
"""Items that can be permuted or flipped."""

_MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], dtype=np.uint64)
_WEYL = np.array([0x9E3779B9, 0xBB67AE85], dtype=np.uint64)
_WORD = np.uint64(0xFFFFFFFF)
_FOR_PERMUTATIONS, _FOR_FLIPS = 0, 1
_FLIPS_A_BLOCK = 128
_THREADS = 256


def random_bits(counters: Array, seed: int) -> Array:
    """Turn counters into random words: Philox4x32 with ten rounds.

    Parameters
    ----------
    counters : (n, 4) uint32
        One counter a row, its lowest word first. Not modified.
    seed : int
        The key, 0 <= seed < 2^64; its lower word is the first.

    Returns
    -------
    (n, 4) uint32, where `counters` lives.

    Raises
    ------
    UsageError
        The seed, the shape or the dtype is another.

    Notes
    -----
    Salmon et al. 2011, doi:10.1145/2063384.2063405. Differs from NumPy's `Philox`, which is Philox4x64.
    """
    _require_whole("seed", seed, 2**64)
    if counters.ndim != 2 or counters.shape[1] != 4 or counters.dtype != np.dtype(np.uint32):
        raise UsageError(f"counters must be an (n, 4) uint32 array, not {counters.shape} {counters.dtype}")
    if not is_device(counters):
        return _philox(counters, seed)
    counters = get_namespace(counters).ascontiguousarray(counters)
    words: Array = get_namespace(counters).empty(counters.shape, dtype=np.uint32)
    args = (counters, words, np.uint64(seed), *int32(len(counters)))
    launch("random", "random_bits", grid=-(-len(counters) // _THREADS), block=_THREADS, args=args)
    return words


def permutations(seed: int, start: int, stop: int, n: int, like: Array | None = None) -> Array:
    """Make the permutations with the numbers start, start + 1, …, stop − 1.

    Parameters
    ----------
    seed : int
        0 <= seed < 2^64.
    start, stop : int
        0 <= start <= stop <= 2^63. Number 0 is as random as any other: whoever needs the identity adds it.
    n : int
        Items to permute, 0 <= n <= 2^30.
    like : array, optional
        The result is made where this lives; on the host when left out.

    Returns
    -------
    (stop − start, n) int32
        Row i − start is permutation i of 0 … n − 1, a function of (seed, i, n) alone.

    Raises
    ------
    UsageError
        A number out of range.

    Notes
    -----
    Each item draws a 64-bit key and the items are listed by ascending key; of equal keys, the smaller item comes first.
    Two keys are equal in a fraction n² / 2^65 of the permutations (3e-14 at n = 1,000): the only bias there is.
    Item j's key is the words 2 (j mod 2) and 2 (j mod 2) + 1, low one first, of Philox4x32-10 at the counter
    (⌊j / 2⌋, 0, i mod 2^32, ⌊i / 2^32⌋) with the seed as key. On a device, one block a permutation counts for each item
    how many keys are smaller, which takes n² comparisons, and no memory but a tile of keys.
    """
    _require_address(seed, start, stop, n)
    if like is None or not is_device(like):
        words = _philox(_counters(start, stop, -(-n // 2), _FOR_PERMUTATIONS), seed).astype(np.uint64)
        keys = (words[..., 0::2] | words[..., 1::2] << np.uint64(32)).reshape(stop - start, n + n % 2)[:, :n]
        return keys.argsort(axis=1, kind="stable").astype(np.int32)
    permuted: Array = get_namespace(like).empty((stop - start, n), dtype=np.int32)
    block = min(_THREADS, 32 * max(1, -(-n // 32)))
    args = (permuted, np.uint64(seed), np.uint64(start), *int32(n))
    launch("random", "permutations", grid=stop - start if n else 0, block=block, args=args)
    return permuted


def sign_flips(seed: int, start: int, stop: int, n: int, like: Array | None = None) -> Array:
    """Make the sign flips with the numbers start, start + 1, …, stop − 1.

    Parameters
    ----------
    seed, start, stop, n, like
        As of `permutations`.

    Returns
    -------
    (stop − start, n) int8
        +1 and −1 with equal chances; row i − start is a function of (seed, i) alone.

    Raises
    ------
    UsageError
        A number out of range.

    Notes
    -----
    Item j is −1 where bit j mod 32 of word ⌊j / 32⌋ mod 4 is set, of Philox4x32-10 at the counter
    (⌊j / 128⌋, 1, i mod 2^32, ⌊i / 2^32⌋) with the seed as key: exact, and independent of `permutations`.
    """
    _require_address(seed, start, stop, n)
    n_blocks = -(-n // _FLIPS_A_BLOCK)
    if like is None or not is_device(like):
        words = _philox(_counters(start, stop, n_blocks, _FOR_FLIPS), seed)
        bits = words[..., None] >> np.arange(32, dtype=np.uint32) & np.uint32(1)
        return 1 - 2 * bits.astype(np.int8).reshape(stop - start, n_blocks * _FLIPS_A_BLOCK)[:, :n]
    flips: Array = get_namespace(like).empty((stop - start, n), dtype=np.int8)
    n_warps = (stop - start) * n_blocks
    args = (flips, np.uint64(seed), np.uint64(start), *int32(stop - start, n))
    launch("random", "sign_flips", grid=-(-n_warps * 32 // _THREADS), block=_THREADS, args=args)
    return flips


def _philox(counters: NDArray[np.uint32], seed: int) -> NDArray[np.uint32]:
    """Ten rounds of Philox4x32 on counters (…, 4): two words are multiplied, two mixed with their products' halves."""
    words = [counters[..., i].astype(np.uint64) for i in range(4)]
    key = np.array([seed & 0xFFFFFFFF, seed >> 32], dtype=np.uint64)
    for _ in range(10):
        first, second = words[0] * _MULTIPLIERS[0], words[2] * _MULTIPLIERS[1]
        words = [
            second >> np.uint64(32) ^ words[1] ^ key[0],
            second & _WORD,
            first >> np.uint64(32) ^ words[3] ^ key[1],
            first & _WORD,
        ]
        key = key + _WEYL & _WORD
    return np.stack(words, axis=-1).astype(np.uint32)


def _counters(start: int, stop: int, n_blocks: int, purpose: int) -> NDArray[np.uint32]:
    """(stop − start, n_blocks, 4) counters: block, purpose, and the number's lower and upper word."""
    numbers = np.arange(stop - start, dtype=np.uint64)[:, None] + np.uint64(start)
    counters = np.empty((stop - start, n_blocks, 4), dtype=np.uint32)
    counters[..., 0] = np.arange(n_blocks)
    counters[..., 1] = purpose
    counters[..., 2] = numbers & _WORD
    counters[..., 3] = numbers >> np.uint64(32)
    return counters


def _require_address(seed: int, start: int, stop: int, n: int) -> None:
    _require_whole("seed", seed, 2**64)
    _require_whole("start", start, stop + 1)
    _require_whole("stop", stop, 2**63 + 1)
    _require_whole("n", n, MAX_ITEMS + 1)


def _require_whole(name: str, value: Any, end: int) -> None:
    try:
        whole = operator.index(value)
    except TypeError as error:
        raise UsageError(f"{name} must be a whole number, not {value!r}") from error
    if not 0 <= whole < end:
        raise UsageError(f"{name} must be from 0 to {end - 1}, not {value}")
