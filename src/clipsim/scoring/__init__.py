"""Vectors → scores, and the frozen records that hold them; pure NumPy.

- `similarity`: cosines, probabilities and the order of texts
- `queries`, `nearest`: the vectors to search for, and the nearest ones among many
- `near_pairs`, `groups`: the vectors that are near each other, and what such pairs connect
- `pixels`: how well small grey pictures fit into each other
- `records`: `RankResult` and what it consists of
- `overview`: what sums a ranking up
- `evaluation`: `EvaluationResult` and what it consists of
- `classification`, `rejection`, `calibration`: labels, pictures of none, probabilities → figures
- `retrieval`, `captions`: captions → recall in both directions, and CLIPScore
- `estimates`: intervals
- `contests`, `significance`, `outcomes`: runs on the same images → tested differences
- `conformal`, `thresholds`: scores of known pictures → a threshold, and `ThresholdResult`
- `saved`, `changes`: results of earlier runs → `CompareResult`
- `queries`, `nearest`: the vectors to search for, and the nearest vectors of each
- `near_pairs`, `groups`, `pixels`: the pairs of near vectors, the groups that pairs make, and the comparison of pixels
- `embed_records`, `search_records`, `index_records`, `duplicates_records`: the results of these commands
"""
