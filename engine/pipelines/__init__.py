"""One file a command: files in, files out; the only place that chooses a device."""
