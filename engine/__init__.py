"""Methods on arrays (gradients), and pipelines that join them with files, workers and progress."""
