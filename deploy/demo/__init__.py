"""The demo shop: publishes through the public interfaces only, then shows what came of it.

`python -m deploy.demo` needs a running Concert. Running it again changes nothing: every event and
every setting has a fixed id.
"""
