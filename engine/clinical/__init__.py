"""Clinical scores: grades, Table 1, and how measures of the brain go with severity."""
