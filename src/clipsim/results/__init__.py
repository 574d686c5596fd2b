"""The frozen records that commands return, and their JSON both ways.

- `base`: `ModelRecord`, and `Result`, which every result is
- `decode`: the JSON of any of them → its fields, by their types
- `rank`: `RankResult` and what it consists of
- `search`: `SearchResult` and `DuplicatesResult`
- `plans`: `PlanResult`, what a command does with files
- `overview`: `OverviewResult`
- `explain`: `ExplainResult`, what speaks for each text in an image
- `datasets`: `EmbedResult`, `EmbedPlan`, `IndexResult` and `ExportResult`
- `evaluation`: `EvaluationResult` and `ThresholdResult`
- `classifier`: `Classifier`, what `fit` makes
- `loaded`: the JSON of an earlier result → its record, checked
- `changes`: `CompareResult`, what changed between two results
"""
