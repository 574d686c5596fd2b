"""Vectors → scores, and the frozen records that hold them; pure NumPy.

- `similarity`: cosines, probabilities and the order of texts
- `records`: `RankResult` and what it consists of
- `evaluation`: `EvaluationResult` and what it consists of
- `classification`, `rejection`, `calibration`: labels, pictures of none, probabilities → figures
- `retrieval`, `captions`: captions → recall in both directions, and CLIPScore
- `estimates`: intervals
- `contests`, `significance`, `outcomes`: runs on the same images → tested differences
- `conformal`, `thresholds`: scores of known pictures → a threshold, and `ThresholdResult`
- `saved`, `changes`: results of earlier runs → `CompareResult`
- `embed_records`: `EmbedResult`
"""
