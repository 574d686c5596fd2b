"""The ONNX engine: a model's export, and an encoder that ONNX Runtime runs without torch.

- `exports`: the exports on this machine, what their folders hold, and the one of a given model
- `export`: a model → an export, accepted only when its vectors agree with torch's
- `encoder`: `OnnxEncoder`, the engine itself
- `tokenizer`: texts → token ids without torch
"""
