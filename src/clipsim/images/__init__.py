"""An image file or picture → an upright RGB picture, or one ImageError that states the cause.

- `decode`: opens, checks and decodes a file of any supported format; start here
- `limits`: the largest picture, and the rules of decoding that a cached vector depends on
- `containers`: refuses JPEG, PNG and TIFF files that would take a decoder too much time or memory
- `colour`: any mode → RGB, upright
- `thumbnails`: a small grey picture, to compare pictures by their pixels
- `copies`: two files → whether one is a copy of the other by content, and which is better
- `memory`: the budget that decoding threads share
- `thumbnail_files`: a picture → the file of a small one, for pages and terminals

`limits` and `thumbnail_files` do not import Pillow, which a run on cached vectors does not need.
"""
