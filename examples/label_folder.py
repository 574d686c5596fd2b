"""Label the images of a folder with the words that fit them best (zero-shot).

    python examples/label_folder.py images cat dog maze house > labels.csv

The words are all that it takes. For photographs, choose a real model: --model ViT-B-32/laion2b_s34b_b79k. The table can
be corrected by hand; `clipsim evaluate` and `clipsim fit` read it as labelled data.
"""

import argparse
import csv
import sys

import clipsim

parser = argparse.ArgumentParser(description="Label the images of a folder.")
parser.add_argument("folder", help="a folder of images, or a glob in quotes")
parser.add_argument("labels", nargs="+", help="the words to choose from")
parser.add_argument("--model", help="any name of `clipsim models`")
options = parser.parse_args()

result = clipsim.rank(
    options.folder,
    options.labels,
    templates=["a {}.", "a drawing of a {}.", "a photo of a {}."],  # wordings whose vectors are averaged
    model=options.model,
)

table = csv.writer(sys.stdout, lineterminator="\n")
table.writerow(["image", "label", "similarity"])
for row in result.to_rows():
    if row["best"]:
        table.writerow([row["image"], row["text"], f"{row['similarity']:.4f}"])

for failure in result.errors:
    print(f"{failure.image}: {failure.error}", file=sys.stderr)
