"""Parity of Philox bits, permutations and sign flips: equal bits everywhere."""

import numpy as np
from numpy.typing import NDArray
from registry import Arrays, Case

from thalgpu.kernels.random import permutations, random_bits, sign_flips

_EXACT = "integers: the bits are the same on every device"


def _philox(counter: list[int], seed: int) -> list[int]:
    """One counter, as the paper writes it, in Python's integers."""
    word = 2**32 - 1
    c0, c1, c2, c3 = counter
    for turn in range(10):
        k0 = ((seed & word) + turn * 0x9E3779B9) & word
        k1 = ((seed >> 32) + turn * 0xBB67AE85) & word
        a, b = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (b >> 32) ^ c1 ^ k0, b & word, (a >> 32) ^ c3 ^ k1, a & word
    return [c0, c1, c2, c3]


def _bits(counters: NDArray[np.uint32], seed: int) -> NDArray[np.uint32]:
    rows = [_philox([int(word) for word in counter], seed) for counter in counters]
    return np.array(rows, np.uint32).reshape(-1, 4)


def _draw(block: int, purpose: int, number: int, seed: int) -> int:
    """The four words of a draw as one number of 128 bits, the first word lowest."""
    words = _philox([block, purpose, number & 2**32 - 1, number >> 32], seed)
    return sum(word << 32 * place for place, word in enumerate(words))


def _permutations(seed: int, start: int, stop: int, n: int, like: object = None) -> NDArray[np.int32]:
    def key(number: int, item: int) -> int:
        return _draw(item // 2, 0, number, seed) >> 64 * (item % 2) & 2**64 - 1

    rows = [sorted(range(n), key=lambda item: (key(number, item), item)) for number in range(start, stop)]
    return np.array(rows, np.int32).reshape(stop - start, n)


def _sign_flips(seed: int, start: int, stop: int, n: int, like: object = None) -> NDArray[np.int8]:
    rows = [[1 - 2 * (_draw(j // 128, 1, i, seed) >> j % 128 & 1) for j in range(n)] for i in range(start, stop)]
    return np.array(rows, np.int8).reshape(stop - start, n)


_KNOWN = (
    (np.zeros((1, 4), np.uint32), 0),
    (np.full((1, 4), 2**32 - 1, np.uint32), 2**64 - 1),
    (np.array([[0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]], np.uint32), 0x299F31D0A4093822),
)
_HERE = np.zeros(1, np.int32)  # what says where to make them


def _counters(n: int) -> Arrays:
    return (np.arange(7, 7 + 4 * n, dtype=np.uint32).reshape(n, 4) * np.uint32(2654435761), 12345678901234567890)


_BITS = ("random:random_bits",)
_NUMBERS = (
    ("one item", (0, 0, 5, 1)),
    ("no items", (0, 0, 5, 0)),
    ("no numbers", (1, 8, 8, 12)),
    ("two items", (3, 0, 40, 2)),
    ("prime sizes", (2**64 - 1, 100, 113, 31)),
    ("a whole warp", (5, 0, 3, 32)),
    ("numbers above 32 bits", (6, 2**32 - 2, 2**32 + 3, 84)),
    ("the last number", (7, 2**63 - 1, 2**63, 129)),
    ("a full block of items", (8, 0, 2, 256)),
    ("more than a block of items", (9, 3, 5, 601)),
)

CASES = (
    *(
        Case(random_bits, name, arguments, _bits, 0, _EXACT, cuda=kernels)
        for name, arguments, kernels in (
            ("known answer, zeros", lambda rng: _KNOWN[0], _BITS),
            ("known answer, ones", lambda rng: _KNOWN[1], _BITS),
            ("known answer, digits of pi", lambda rng: _KNOWN[2], _BITS),
            ("no counters", lambda rng: _counters(0), ()),
            ("more than a block", lambda rng: _counters(257), _BITS),
        )
    ),
    *(
        Case(operation, name, lambda rng, numbers=numbers: (*numbers, _HERE), reference, 0, _EXACT, cuda=kernels)
        for operation, reference, kernel in (
            (permutations, _permutations, "random:permutations"),
            (sign_flips, _sign_flips, "random:sign_flips"),
        )
        for name, numbers in _NUMBERS
        for kernels in [(kernel,) if numbers[2] > numbers[1] and numbers[3] else ()]
    ),
    *(
        Case(operation, "on the host", lambda rng: (2, 5, 9, 13), reference, 0, _EXACT, on_host=(0,))
        for operation, reference in ((permutations, _permutations), (sign_flips, _sign_flips))
    ),
)
