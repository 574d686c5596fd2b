"""Arrays → arrays: cosines, probabilities and neighbours; pure NumPy.

- `similarity`: feature vectors → cosines, probabilities and the best text of each image
- `nearest`: the vectors to search for, and the nearest ones among many
- `pairs`: the pairs of vectors that are near each other, and the groups that pairs connect; `near_lists` finds
  most of them among millions
- `groups`: groups of vectors that point the same way, and which are typical of each
- `few_shots`: a few labelled images, and the labels' texts → a vector for each label
- `occlusion`: pixels with a part hidden, and a map of how much that matters
- `pixels`: how well small grey images fit into each other
"""
