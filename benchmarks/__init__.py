"""Measures warmcache beside its peers: ``python -m benchmarks`` from the repository's root.

A map of the package:

==============  =================================================================
``__main__``    the command: which rows, how long, what is printed and written
``rows``        the groups of rows by name
``hits``        hit latency: sync, recorded, async, leases; and what a miss costs
``mappings``    the caches as mappings: get, set, insert with eviction, growth
``weighing``    what the policies cost that weigh load seconds
``threads``     many threads: a warm key, a stampede, hits while a load runs
``imports``     import time, in fresh interpreters
``targets``     what is to be reached, judged from the figures
``contenders``  how each library is used
``report``      the tables in a terminal and in Markdown
``picture``     the bars
``machine``     what it ran on, with which versions
``timing``      interleaved rounds, and ratios taken round by round
==============  =================================================================

All contenders are measured in one process, in turns and in an order shuffled in every
round, and compared by the median of the ratios within each round: what the machine does
meanwhile then hits them alike.
"""
