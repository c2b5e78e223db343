"""Methods on arrays: connectivity, affinity, embedding, alignment. No files, no workers."""
