"""One file a claim: each prints both sides and their ratio."""
