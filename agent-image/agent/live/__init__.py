"""The live page: what this node's model sees, for a person who looks. On the loopback address only, off by default."""
