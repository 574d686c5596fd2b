"""A source → an upright RGB image (PIL), or an ImageError that states the cause.

- `decode`: opens, checks and decodes a file of any supported format; start here
- `limits`: the most pixels and bytes, the memory that threads share, and the rules of decoding in the cache's key
- `containers`: refuses JPEG, PNG and TIFF files that would take a decoder too much time or memory
- `raw`: a RAW file → the preview in it
- `colour`: any mode → RGB, upright
- `dates`: when an image was taken, and ranges of dates
- `thumbnails`: an image → a small image file, for pages and terminals
- `heat_maps`: an image under the colours of a map
- `copies`: two files → whether one is a copy of the other by content, and which is better
- `grey_copies`: a source → a small grey copy, to compare images by their pixels

`limits` and `thumbnails` do not import Pillow, which a run on cached vectors does not need.
"""
