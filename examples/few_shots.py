"""Make a classifier of a few labelled images, and use it where it is better than words.

    python examples/few_shots.py images/labels.csv 'images/*.jpeg'

The labelled images are a folder for each label, or a table with the columns image and label. The model stays as it is:
seconds are enough, and a few images of each label.
"""

import argparse

import clipsim

parser = argparse.ArgumentParser(description="Classify images by a few labelled ones.")
parser.add_argument("labelled", help="a folder for each label, or a table")
parser.add_argument("images", help="the images to classify")
parser.add_argument("--output", default="classifier.json", help="for `clipsim rank --classifier` and the others")
parser.add_argument("--model", help="any name of `clipsim models`")
options = parser.parse_args()

with clipsim.open(options.model) as session:
    classifier = session.fit(options.labelled, output=options.output)
    if classifier.better:
        result = session.rank(options.images, classifier=classifier)
    else:
        result = session.rank(options.images, classifier.labels)

print(f"right by words alone:    {classifier.by_words.value:.1%} of {classifier.examples} labelled images")
if classifier.by_classifier is not None:
    print(f"right by the classifier: {classifier.by_classifier.value:.1%}, by cross-validation")
print("The classifier decides:" if classifier.better else "No better than the words, which decide:")
for scores in result.scores:
    best = scores.ranked(result.texts, top=1)[0]
    print(f"{best.text:<12} {scores.image}")
