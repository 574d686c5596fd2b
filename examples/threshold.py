"""Find the images that show a thing at all, by a threshold with a promise.

    python examples/threshold.py maze images --positives 'images/maze*.jpeg' --recall 0.75

A probability says which of several texts fits best, even where none fits; a threshold can say that none does. It is
found on images that are known to show the text, and promises that a share of new images like these passes (split
conformal prediction). 75 % takes three such images, 90 % takes nine; the more there are, the narrower the range.
"""

import argparse

import clipsim

parser = argparse.ArgumentParser(description="Find the images that show a thing.")
parser.add_argument("text", help="what the images are to show")
parser.add_argument("images", help="the images to look through")
parser.add_argument("--positives", required=True, help="images that are known to show it")
parser.add_argument("--recall", type=float, default=0.9, help="the share of such images that is to pass")
parser.add_argument("--model", help="any name of `clipsim models`")
options = parser.parse_args()

with clipsim.open(options.model) as session:
    found = session.threshold(options.text, options.positives, recall=options.recall)
    result = session.rank(options.images, options.text, thresholds=found)

promise = found.thresholds[0]
print(f"A cosine of {promise.threshold:.4f} passes {promise.expected:.0%} of new images that show it,")
print(f"and between {promise.low:.0%} and {promise.high:.0%} for nine of ten sets of {promise.n} positives.")
for image, best in zip(result.images, result.best, strict=True):
    print("no " if best is None else "yes", image)
