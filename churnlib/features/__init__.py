"""From accepted rows to the matrix that a booster sees; the same for training and scoring."""
