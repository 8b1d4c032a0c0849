"""The machine room: jit policy, random streams, tiles, blocks, moments, launch."""
