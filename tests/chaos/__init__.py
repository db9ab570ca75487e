"""Kill, freeze, add and remove processes under a flow of events, then ask the oracle.

`make chaos` runs more seeds (`CHAOS_SEEDS=n`), with frozen processes that come back.
"""
