"""Images and texts → feature vectors: the `Encoder` protocol and its implementations.

- `encoder`: the `Encoder` protocol, which every engine implements
- `choice`: which engine runs a model, and the default device, precision and batch size
- `plugin_encoder`: the encoder of an engine that a package adds, its results checked
- `accelerator`: batches on their way through a GPU, while the host continues
- `preprocessing`: an RGB image → the pixels a model takes, without torch
- `torch`: the engine of every model; with `clip`, `model` and `simple_tokenizer`, the only place for
  torch and open_clip
- `onnx`: exports of a model, and the engine that runs them; the only place for onnxruntime
"""
