"""Results on disk for the next process: plain files are the truth, an index of them is derived."""
