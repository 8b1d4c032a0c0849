"""Files for ``fastscore run``; `barrier` is the one that ``fastscore demo`` runs."""
