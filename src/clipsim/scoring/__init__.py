"""Vectors → scores, and the frozen records that hold them; pure NumPy.

- `similarity`: cosines, probabilities and the order of texts
- `queries`, `nearest`: the vectors to search for, and the nearest ones among many
- `near_pairs`, `groups`: the vectors that are near each other, and what such pairs connect
- `pixels`: how well small grey pictures fit into each other
- `records`: `RankResult` and what it consists of
- `embed_records`, `search_records`, `duplicates_records`, `index_records`: what the other commands give
"""
