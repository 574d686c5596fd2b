"""Vectors → scores, and the frozen records that hold them; pure NumPy.

- `similarity`: cosines, probabilities and the order of texts
- `records`: `RankResult` and what it consists of
- `embed_records`: `EmbedResult`
"""
