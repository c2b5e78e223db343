"""One array operation a file: arrays in, arrays out; NumPy in gives NumPy out, CuPy in gives CuPy out."""
