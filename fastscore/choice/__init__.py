"""Which estimator, sampling, baseline and control variates to combine: measured, not guessed."""
