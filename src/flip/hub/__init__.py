"""Files of other people: what is on the hub, in the cache or in a wheel, and whether it is what it should be."""
