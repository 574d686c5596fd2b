"""The frozen records that commands return, and their JSON both ways.

- `rank`: `RankResult` and what it consists of
- `search`: `SearchResult` and `DuplicatesResult`
- `datasets`: `EmbedResult` and `IndexResult`
- `evaluation`: `EvaluationResult`
- `thresholds`: `ThresholdResult`, and which scores pass it
- `loaded`: the JSON of an earlier result → its record, checked
- `changes`: two results of the same kind → `CompareResult`
"""
