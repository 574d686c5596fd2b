"""An image file or picture → an upright RGB picture, or one ImageError that states the cause.

- `decode`: opens, checks and decodes a file of any supported format; start here
- `limits`: the largest picture, the rules of decoding that a cached vector depends on, and the memory threads share
- `containers`: refuses JPEG, PNG and TIFF files that would take a decoder too much time or memory
- `colour`: any mode → RGB, upright
- `thumbnails`: a picture → the file of a small one, for pages and terminals
- `copies`: two pictures at full size → whether one is a copy of the other by content, and which is better
- `grey_copies`: a small grey picture, to compare pictures by their pixels

`limits` and `thumbnails` do not import Pillow, which a run on cached vectors does not need.
"""
