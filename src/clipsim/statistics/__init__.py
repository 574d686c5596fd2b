"""Scores → figures with intervals.

- `distributions`: the Beta and Student's t distributions
- `estimates`: counts and per-image values → estimates with 95 % intervals
- `classification`: scores and labels → accuracy, recall, confusion, calibration and rejection
- `multilabel`: scores and the labels of images that have several → average precision, F1 and their like
- `retrieval`: images and captions → recall at k in both directions, and CLIPScore
- `paired_tests`: runs on the same images → their differences, tested
- `conformal`: scores of known images → a threshold with a guarantee
"""
