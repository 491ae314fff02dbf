"""A private Valkey and a private PostgreSQL for one data directory, shared by every process that uses it.

``engines.py`` is the user's side. It starts one ``guardian.py`` per engine, which starts the engine, watches
it and stops it when nobody is left. They speak through three lock files per engine (``folder.py``) and
nothing else: the kernel lets go of a lock when its holder dies, so no pid is trusted, nothing stale blocks.
"""
