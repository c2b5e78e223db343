"""Where tasks run: one context manager that yields an executor."""
