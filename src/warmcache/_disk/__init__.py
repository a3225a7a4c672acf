"""Results on disk, for the next miss, the next process and the next run."""
