"""The ONNX engine: a model's export, and an encoder that ONNX Runtime runs without torch.

- `record`: `Export`, what an export's folder holds, checked
- `exports`: the exports on this machine → the one of a given model
- `export`: a model → an export, accepted only when its vectors agree with torch's
- `graphs`: an exported graph → a quantised, optimised one
- `encoder`: `OnnxEncoder`, the engine itself
- `tokenizer`: texts → token ids without torch
"""
