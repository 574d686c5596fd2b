"""How clipsim-mini is made: drawn pictures and captions → a trained model folder, its card and its known answers.

Not part of the wheel; run from the repository's root.

- `draw`: things, colours, backgrounds and captions → pictures that say what they show
- `pool`: drawn pictures in memory-mapped files, refilled while training reads them
- `batches`: pool pictures → training batches
- `network`: the architecture, and the model folder that OpenCLIP loads
- `train`, `evaluate`, `answers`: what `make mini` runs, in this order
"""
