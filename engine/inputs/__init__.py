"""Readers: subject lists, regions, time series. Every one raises `InputError(path, reason)` on bad input."""
