"""CUDA C++ executed on the CPU, through CuPy's own call signature."""

from cuda_emulator import namespace
from cuda_emulator.build import has_compiler
from cuda_emulator.device_array import DeviceArray
from cuda_emulator.launching import EmulatorError
from cuda_emulator.memory import OutOfMemoryError, limited
from cuda_emulator.module import RawModule
from cuda_emulator.settings import ASCENDING, DESCENDING, settings, using

__all__ = [
    "ASCENDING",
    "DESCENDING",
    "DeviceArray",
    "EmulatorError",
    "OutOfMemoryError",
    "RawModule",
    "has_compiler",
    "limited",
    "namespace",
    "settings",
    "using",
]
