"""An image file or picture → an upright RGB picture, or one ImageError that says what is wrong with it.

- `decode`: the way in; opens, checks and decodes a file of any supported format
- `limits`: how large a picture may be, and the rules of decoding that a cached vector depends on
- `containers`: checks of JPEG, PNG and TIFF files that would cost a decoder much time or memory
- `colour`: any mode → RGB, upright
- `memory`: the budget that decoding threads share

`limits` imports no Pillow, so that a run on cached vectors does without it.
"""
