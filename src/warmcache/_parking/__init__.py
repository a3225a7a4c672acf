"""A value's bytes in host memory, while the device needs the room; knows nothing of caches.

``choice`` says who parks: ``pair`` two functions of the user's, and ``in_place`` what has tensors
of torch. That one finds them (``finding``), makes each anew over other storages (``views``), copies
the bytes into ``slabs``, and has every tensor look there (``moving``). ``devices`` are where they
come from, and ``parking`` is what a cache sees of it all.
"""
