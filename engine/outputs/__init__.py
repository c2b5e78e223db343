"""Writers: the write-once HDF5 store, images, sidecars and BIDS names."""
